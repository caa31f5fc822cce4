#include "trainers/micro_batches.h"

#include "cria/core/error.h"

namespace cria {

namespace {

int64_t token_count(const Group& group) {
  int64_t tokens = 0;
  for (const Example& example : group) tokens += static_cast<int64_t>(example.ids.size());
  return tokens;
}

MicroBatch make_micro_batch(std::span<const Group> groups) {
  MicroBatch micro;
  std::vector<const Example*> sequences;
  for (const Group& group : groups) {
    micro.groups.push_back(&group);
    for (const Example& example : group) sequences.push_back(&example);
  }
  micro.packed = pack(std::span<const Example* const>(sequences));
  return micro;
}

}  // namespace

std::vector<MicroBatch> split(std::span<const Group> batch, int64_t max_tokens, int rank,
                              int rank_count) {
  int64_t total = 0;
  for (const Group& group : batch) total += token_count(group);

  std::vector<MicroBatch> result;
  size_t begin = 0;    // of the pass at hand
  int64_t tokens = 0;  // in it
  int64_t before = 0;  // tokens of all groups before this one
  const auto finish = [&](size_t end) {
    if (tokens > 0) result.push_back(make_micro_batch(batch.subspan(begin, end - begin)));
    tokens = 0;
  };
  for (size_t i = 0; i < batch.size(); ++i) {
    const int64_t size = token_count(batch[i]);
    // The rank whose share of all tokens the group's middle falls into.
    const int64_t owner = (2 * before + size) * rank_count / (2 * total);
    before += size;
    if (owner != rank) {
      finish(i);
      continue;
    }
    if (size > max_tokens) {
      throw input_error(
          "training.micro_batch_tokens",
          fmt::format("an example needs {} tokens in one pass, {} are allowed", size, max_tokens),
          "raise it");
    }
    if (tokens + size > max_tokens) finish(i);
    if (tokens == 0) begin = i;
    tokens += size;
  }
  finish(batch.size());
  return result;
}

}  // namespace cria

#include "trainers/scorer.h"

#include <algorithm>
#include <cmath>

namespace cria {

namespace {

constexpr int64_t kLeastTokens = 2048;  // of a pass: shorter ones keep the cores less busy

int64_t tokens_of_a_pass(const ModelConfig& config, int64_t batch_tokens) {
  if (batch_tokens < 0) {
    throw input_error("batch-tokens", fmt::format("{} is out of bounds", batch_tokens),
                      "at least 1, or 0 for the default");
  }
  return batch_tokens > 0 ? batch_tokens : std::max(config.max_position_embeddings, kLeastTokens);
}

void require_finite(float value) {
  if (std::isfinite(value)) return;
  throw failure("scoring", "the model's output is not finite", "check its weights");
}

}  // namespace

PackedBatch pack_filled(std::span<const Example> sequences, int64_t tokens) {
  PackedBatch batch = pack(sequences);
  CRIA_ASSERT(batch.tokens() <= tokens);
  // No longer than a real sequence: the model may have no positions beyond.
  size_t longest = 0;
  for (const Example& sequence : sequences) longest = std::max(longest, sequence.ids.size());
  const auto tail = std::min<int64_t>(static_cast<int64_t>(longest), kTokenMultiple);
  while (batch.tokens() < tokens) {
    const int64_t count = std::min(tail, tokens - batch.tokens());
    for (int32_t i = 0; i < count; ++i) {
      batch.ids.push_back(0);
      batch.positions.push_back(i);
      batch.targets.push_back(-1);
      batch.weights.push_back(0.0f);
    }
    batch.sequence_offsets.push_back(static_cast<int32_t>(batch.tokens()));
  }
  return batch;
}

Scorer::Scorer(const Model& model, int64_t batch_tokens)
    : model_(model),
      activations_(
          model.config(), model.dtype(),
          {.max_tokens = tokens_of_a_pass(model.config(), batch_tokens), .training = false}),
      batch_(activations_.plan().max_tokens),
      language_head_(activations_.plan().max_tokens),
      score_head_(activations_.plan().max_tokens) {}

void Scorer::reserve(Arena& arena) {
  activations_.reserve(arena, model_.backend());
  batch_.reserve(arena);
  if (model_.config().head == HeadKind::language) {
    language_head_.reserve(arena, model_);
  } else {
    score_head_.reserve(arena, model_);
  }
}

void Scorer::check(const Example& sequence, const std::string& where) const {
  const ModelConfig& config = model_.config();
  const auto length = static_cast<int64_t>(sequence.ids.size());
  if (length == 0) throw input_error(where, "no tokens to score");
  if (length > config.max_position_embeddings) {
    throw input_error(where,
                      fmt::format("{} tokens, but the model was made for {}", length,
                                  config.max_position_embeddings),
                      "shorten it");
  }
  if (length > batch_tokens()) {
    throw input_error(where, fmt::format("{} tokens, but a pass has {}", length, batch_tokens()),
                      "raise --batch-tokens");
  }
  for (const int32_t id : sequence.ids) {
    if (id >= 0 && id < config.vocab_size) continue;
    throw input_error(where, fmt::format("token id {} is outside the model's vocabulary of {}", id,
                                         config.vocab_size));
  }
}

template <typename Visit>
void Scorer::for_each_pack(std::span<const Example> sequences, Read read, const Visit& visit) {
  for (size_t begin = 0; begin < sequences.size();) {
    size_t end = begin;
    int64_t tokens = 0;
    while (end < sequences.size()) {
      const auto length = static_cast<int64_t>(sequences[end].ids.size());
      if (tokens + length > batch_tokens()) break;
      if (read == Read::last_tokens && static_cast<int64_t>(end - begin) == kLastTokens) break;
      tokens += length;
      ++end;
    }
    CRIA_ASSERT(end > begin);
    const PackedBatch packed = pack_filled(sequences.subspan(begin, end - begin), batch_tokens());
    batch_.upload(model_.backend(), packed,
                  read == Read::all ? std::vector<int32_t>() : last_token_rows(packed));
    // Other row counts may give other bits.
    CRIA_ASSERT(packed.tokens() == batch_tokens());
    CRIA_ASSERT(read == Read::all ||
                batch_.kept_tokens() == std::min<int64_t>(kLastTokens, batch_tokens()));
    transformer_forward(model_, activations_, batch_);
    visit(packed, begin);
    begin = end;
  }
}

std::vector<std::vector<float>> Scorer::logprobs(std::span<const Example> sequences) {
  std::vector<std::vector<float>> result(sequences.size());
  for_each_pack(sequences, Read::all, [&](const PackedBatch& packed, size_t first) {
    const std::vector<float> all = language_head_.forward(model_, activations_, batch_).logprobs;
    for (size_t s = 0; s < static_cast<size_t>(packed.sequence_count); ++s) {
      // The row of a token predicts the one after it.
      result[first + s].assign(all.begin() + packed.sequence_offsets[s],
                               all.begin() + packed.sequence_offsets[s + 1] - 1);
      for (const float logprob : result[first + s]) require_finite(logprob);
    }
  });
  return result;
}

std::vector<float> Scorer::rewards(std::span<const Example> sequences) {
  std::vector<float> result;
  for_each_pack(sequences, Read::last_tokens, [&](const PackedBatch& packed, size_t) {
    const std::vector<float> scores =
        score_head_.forward(model_, activations_, last_token_rows(packed));
    for (const float score : scores) require_finite(score);
    result.insert(result.end(), scores.begin(), scores.end());
  });
  return result;
}

}  // namespace cria

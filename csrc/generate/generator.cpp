#include "cria/generate/generator.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace cria {

namespace {

GeneratorOptions complete(GeneratorOptions options, const ModelConfig& config) {
  if (options.max_context == 0) options.max_context = config.max_position_embeddings;
  const auto at_least_one = [](const char* name, int64_t value) {
    if (value >= 1) return;
    throw input_error(name, fmt::format("{} is out of bounds", value), "at least 1");
  };
  at_least_one("slots", options.slots);
  at_least_one("max_context", options.max_context);
  at_least_one("block_size", options.block_size);
  at_least_one("prefill_rows", options.prefill_rows);
  if (options.max_context > config.max_position_embeddings) {
    throw input_error("max_context",
                      fmt::format("{} tokens, but the model was made for {}", options.max_context,
                                  config.max_position_embeddings),
                      "choose a shorter context");
  }
  if (config.head != HeadKind::language) {
    throw input_error("model", "a reward model generates no text", "give one with a language head");
  }
  return options;
}

// Every slot may use the whole context. While all are in use, the one that came in last began with
// the kept prompt and shares its blocks, except the last if it is partly filled.
int64_t blocks_needed(const GeneratorOptions& options) {
  const int64_t blocks = (options.max_context + options.block_size - 1) / options.block_size;
  return options.slots * blocks + 1;
}

int32_t low_word(uint64_t value) { return static_cast<int32_t>(static_cast<uint32_t>(value)); }
int32_t high_word(uint64_t value) { return low_word(value >> 32); }

}  // namespace

void validate(const SamplingSettings& settings, const std::string& where) {
  if (!(settings.temperature >= 0.0f) || !std::isfinite(settings.temperature)) {
    throw input_error(where, fmt::format("temperature is {}", settings.temperature),
                      "0 is greedy, anything above samples");
  }
  if (settings.top_k < 0) {
    throw input_error(where, fmt::format("top_k is {}", settings.top_k), "0 keeps all tokens");
  }
  if (!(settings.top_p > 0.0f && settings.top_p <= 1.0f)) {
    throw input_error(where, fmt::format("top_p is {}", settings.top_p),
                      "it must be above 0 and at most 1");
  }
  if (settings.max_new_tokens < 1) {
    throw input_error(where, fmt::format("max_new_tokens is {}", settings.max_new_tokens),
                      "at least 1");
  }
}

void validate(const GenerationRequest& request, const ModelConfig& config, int64_t max_context,
              const std::string& where) {
  validate(request.settings, where);
  if (request.prompt.empty()) throw input_error(where, "the prompt is empty");
  const auto length = static_cast<int64_t>(request.prompt.size());
  if (length >= max_context) {
    throw input_error(where,
                      fmt::format("a prompt of {} tokens leaves no room for an answer in a context "
                                  "of {}",
                                  length, max_context),
                      "shorten it");
  }
  for (const int32_t id : request.prompt) {
    if (id >= 0 && id < config.vocab_size) continue;
    throw input_error(where, fmt::format("token id {} is outside the model's vocabulary of {}", id,
                                         config.vocab_size));
  }
}

Generator::Generator(const Model& model, const GeneratorOptions& options)
    : model_(model),
      options_(complete(options, model.config())),
      cache_(model.config(), model.dtype(), blocks_needed(options_), options_.block_size),
      prefill_(DecoderUse::prefill, model, cache_, options_.prefill_rows,
               /*sequences=*/options_.prefill_rows, options_.max_context),
      decode_(DecoderUse::decode, model, cache_, options_.slots, options_.slots,
              options_.max_context),
      waiting_{.rows = prefill_.idle_rows()},
      kept_(cache_) {
  for (int64_t i = 0; i < options_.slots; ++i) slots_.push_back({.cached = CachedSequence(cache_)});
}

void Generator::reserve(Arena& arena) {
  const int64_t R = options_.slots;
  const int64_t V = model_.config().vocab_size;
  cache_.reserve(arena);
  prefill_.reserve(arena);
  decode_.reserve(arena);
  arena.reserve(logits_, "activations", DType::f32, {R, V});
  for (Tensor* tensor : {&logprobs_, &temperatures_, &top_p_}) {
    arena.reserve(*tensor, "activations", DType::f32, {R});
  }
  for (Tensor* tensor : {&tokens_, &top_k_}) {
    arena.reserve(*tensor, "activations", DType::i32, {R});
  }
  arena.reserve(keys_, "activations", DType::i32, {R, 4});
  arena.reserve_workspace(workspace_, model_.backend().sampling_workspace_bytes(R, V));
}

std::vector<std::vector<int32_t>> Generator::blocks_in_use() const {
  std::vector<std::vector<int32_t>> blocks = {kept_.blocks()};
  for (const Slot& slot : slots_) {
    if (slot.request) blocks.push_back(slot.cached.blocks());
  }
  return blocks;
}

std::vector<GenerationResult> Generator::generate(std::span<const GenerationRequest> requests,
                                                  const TokenListener& listener) {
  for (size_t i = 0; i < requests.size(); ++i) {
    validate(requests[i], model_.config(), options_.max_context, fmt::format("prompt {}", i));
  }
  std::vector<GenerationResult> results(requests.size());
  // However this call ends, no slot goes on pointing into it.
  struct SlotsInUse {
    Generator& generator;
    ~SlotsInUse() { generator.clear_slots(); }
  } slots_in_use{*this};

  size_t next = 0;
  while (true) {
    bool idle = true;
    for (Slot& slot : slots_) {
      if (!slot.request && next < requests.size()) {
        slot.request = &requests[next];
        slot.result = &results[next];
        slot.index = next++;
        enter(slot);
      }
      idle = idle && !slot.request;
    }
    if (idle) break;
    prefill();
    step();
    if (!draw(listener)) break;
  }
  return results;
}

void Generator::enter(Slot& slot) {
  const std::vector<int32_t>& prompt = slot.request->prompt;
  keep(std::span(prompt).first(prompt.size() - 1));
  slot.cached = kept_.fork();
  slot.next_id = prompt.back();
}

void Generator::leave(Slot& slot) {
  if (options_.keep_prefix) kept_ = std::move(slot.cached);
  slot = {.cached = CachedSequence(cache_)};
}

void Generator::clear_slots() {
  for (Slot& slot : slots_) slot = {.cached = CachedSequence(cache_)};
  // What a pass that failed has not computed must not stay.
  if (!options_.keep_prefix || waiting_.count > 0) kept_.truncate(0);
  waiting_ = {.rows = prefill_.idle_rows()};
}

// Leaves these tokens, and no others, in kept_. Those that are new wait for prefill().
void Generator::keep(std::span<const int32_t> ids) {
  const auto common = static_cast<int64_t>(
      std::mismatch(ids.begin(), ids.end(), kept_.ids().begin(), kept_.ids().end()).first -
      ids.begin());
  const auto length = static_cast<int64_t>(ids.size());
  const bool has_all = common == length;
  kept_.truncate(has_all || options_.keep_prefix ? common : 0);
  if (has_all) return;
  if (kept_.length() > 0) prefill();  // before its last block may be copied
  int64_t begin = kept_.length();
  kept_.append(model_.backend(), ids.subspan(static_cast<size_t>(begin)));
  while (begin < length) {
    const int64_t end = std::min(length, begin + options_.prefill_rows - waiting_.count);
    waiting_.rows.set_blocks(waiting_.sequences, kept_.blocks());
    for (; begin < end; ++begin) {
      waiting_.rows.set(waiting_.count++, ids[static_cast<size_t>(begin)], begin,
                        waiting_.sequences);
    }
    ++waiting_.sequences;
    if (waiting_.count == options_.prefill_rows) prefill();
  }
}

// Computes the keys and values of the rows that wait.
void Generator::prefill() {
  if (waiting_.count == 0) return;
  prefill_.forward(waiting_.rows);
  waiting_ = {.rows = prefill_.idle_rows()};
}

// Decodes the next token of every slot in use: logits then hold the distribution of the one after.
void Generator::step() {
  DecoderRows rows = decode_.idle_rows();
  for (size_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = slots_[i];
    if (!slot.request) continue;
    const auto sequence = static_cast<int64_t>(i);
    rows.set(sequence, slot.next_id, slot.cached.length(), sequence);
    slot.cached.append(model_.backend(), std::span(&slot.next_id, 1));
    rows.set_blocks(sequence, slot.cached.blocks());
  }
  decode_.forward(rows);
  decode_.language_head(logits_);
}

// Draws a token for every slot in use; slots whose answer ends become idle. False: the listener
// wants no more.
bool Generator::draw(const TokenListener& listener) {
  Backend& backend = model_.backend();
  std::vector<float> temperatures(slots_.size(), 0.0f), top_p(slots_.size(), 1.0f);
  std::vector<int32_t> top_k(slots_.size(), 0), keys(4 * slots_.size(), 0);
  for (size_t i = 0; i < slots_.size(); ++i) {
    if (!slots_[i].request) continue;
    const GenerationRequest& request = *slots_[i].request;
    temperatures[i] = request.settings.temperature;
    top_k[i] = request.settings.top_k;
    top_p[i] = request.settings.top_p;
    const auto position = static_cast<uint64_t>(slots_[i].cached.length());
    keys[4 * i] = low_word(request.example);
    keys[4 * i + 1] = high_word(request.example);
    keys[4 * i + 2] = low_word(position);
    keys[4 * i + 3] = high_word(position);
  }
  backend.copy_from_host(temperatures_, temperatures.data());
  backend.copy_from_host(top_k_, top_k.data());
  backend.copy_from_host(top_p_, top_p.data());
  backend.copy_from_host(keys_, keys.data());
  backend.sampling({.tokens = tokens_,
                    .logprobs = logprobs_,
                    .logits = logits_,
                    .temperatures = temperatures_,
                    .top_k = top_k_,
                    .top_p = top_p_,
                    .keys = keys_,
                    .seed = options_.seed,
                    .workspace = workspace_});
  std::vector<int32_t> tokens(slots_.size());
  std::vector<float> logprobs(slots_.size());
  backend.copy_to_host(tokens.data(), tokens_);
  backend.copy_to_host(logprobs.data(), logprobs_);

  for (size_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = slots_[i];
    if (!slot.request) continue;
    if (!std::isfinite(logprobs[i])) {
      throw failure("generation", "the model's logits are not finite", "check its weights");
    }
    const SamplingSettings& settings = slot.request->settings;
    GenerationResult& result = *slot.result;
    result.tokens.push_back(tokens[i]);
    result.logprobs.push_back(logprobs[i]);
    slot.next_id = tokens[i];
    const auto& stop_ids = settings.stop_ids;
    result.finished_by_eos =
        std::find(stop_ids.begin(), stop_ids.end(), tokens[i]) != stop_ids.end();
    const bool full = static_cast<int64_t>(result.tokens.size()) == settings.max_new_tokens ||
                      slot.cached.length() + 1 == options_.max_context;
    result.complete = result.finished_by_eos || full;
    AfterToken after = result.complete ? AfterToken::end_answer : AfterToken::go_on;
    if (listener) {
      const AfterToken wanted =
          listener({.request = slot.index, .id = tokens[i], .last = result.complete});
      after = std::max(after, wanted);
    }
    if (after != AfterToken::go_on) leave(slot);
    if (after == AfterToken::end_all) return false;
  }
  return true;
}

}  // namespace cria

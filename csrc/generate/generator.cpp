#include "cria/generate/generator.h"

#include <algorithm>
#include <cmath>

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

// Every slot may use the whole context, and one prompt more is kept to be shared.
int64_t blocks_needed(const GeneratorOptions& options) {
  const int64_t blocks = (options.max_context + options.block_size - 1) / options.block_size;
  return (options.slots + 1) * blocks;
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

Generator::Generator(const Model& model, const GeneratorOptions& options)
    : model_(model),
      options_(complete(options, model.config())),
      cache_(model.config(), model.dtype(), blocks_needed(options_), options_.block_size),
      prefill_(model, cache_, options_.prefill_rows, /*sequences=*/1, options_.max_context),
      decode_(model, cache_, options_.slots, options_.slots, options_.max_context),
      slots_(static_cast<size_t>(options_.slots)) {}

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

void Generator::check(const GenerationRequest& request, const std::string& where) const {
  validate(request.settings, where);
  if (request.prompt.empty()) throw input_error(where, "the prompt is empty");
  const auto length = static_cast<int64_t>(request.prompt.size());
  if (length >= options_.max_context) {
    throw input_error(where,
                      fmt::format("a prompt of {} tokens leaves no room for an answer in a context "
                                  "of {}",
                                  length, options_.max_context),
                      "shorten it");
  }
  const int64_t vocab_size = model_.config().vocab_size;
  for (const int32_t id : request.prompt) {
    if (id >= 0 && id < vocab_size) continue;
    throw input_error(
        where, fmt::format("token id {} is outside the model's vocabulary of {}", id, vocab_size));
  }
}

std::vector<GenerationResult> Generator::generate(std::span<const GenerationRequest> requests) {
  for (size_t i = 0; i < requests.size(); ++i) check(requests[i], fmt::format("prompt {}", i));
  std::vector<GenerationResult> results(requests.size());
  size_t next = 0;
  while (true) {
    for (Slot& slot : slots_) {
      if (slot.request || next == requests.size()) continue;
      enter(slot, requests[next], results[next]);
      ++next;
    }
    const bool idle = std::none_of(slots_.begin(), slots_.end(),
                                   [](const Slot& slot) { return slot.request != nullptr; });
    if (idle) break;
    step();
    draw();
  }
  forget_shared_prompt();
  return results;
}

void Generator::enter(Slot& slot, const GenerationRequest& request, GenerationResult& result) {
  if (request.prompt != shared_.prompt) prefill(request.prompt);
  slot.request = &request;
  slot.result = &result;
  slot.length = static_cast<int64_t>(request.prompt.size()) - 1;
  slot.next_id = request.prompt.back();
  // Full blocks are shared; the slot will write into the last one if there is room left in it.
  slot.blocks = shared_.blocks;
  const bool partial = slot.length % cache_.block_size() != 0;
  const size_t full = slot.blocks.size() - (partial ? 1 : 0);
  for (size_t i = 0; i < full; ++i) cache_.share(slot.blocks[i]);
  if (partial) {
    slot.blocks.back() = cache_.allocate();
    cache_.copy(model_.backend(), slot.blocks.back(), shared_.blocks.back());
  }
}

void Generator::leave(Slot& slot) {
  for (const int32_t block : slot.blocks) cache_.release(block);
  slot = {};
}

void Generator::forget_shared_prompt() {
  for (const int32_t block : shared_.blocks) cache_.release(block);
  shared_ = {};
}

void Generator::prefill(const std::vector<int32_t>& prompt) {
  forget_shared_prompt();
  shared_.prompt = prompt;
  const int64_t length = static_cast<int64_t>(prompt.size()) - 1;
  for (int64_t i = 0; i < cache_.blocks_for(length); ++i) {
    shared_.blocks.push_back(cache_.allocate());
  }
  for (int64_t begin = 0; begin < length; begin += options_.prefill_rows) {
    DecoderRows rows = prefill_.idle_rows();
    for (size_t i = 0; i < shared_.blocks.size(); ++i) {
      rows.set_block(0, static_cast<int64_t>(i), shared_.blocks[i]);
    }
    const int64_t count = std::min(options_.prefill_rows, length - begin);
    for (int64_t row = 0; row < count; ++row) {
      rows.set(row, prompt[static_cast<size_t>(begin + row)], begin + row, 0);
    }
    prefill_.forward(rows);
  }
}

// Decodes the next token of every slot in use: logits then hold the distribution of the one after.
void Generator::step() {
  DecoderRows rows = decode_.idle_rows();
  for (size_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = slots_[i];
    if (!slot.request) continue;
    const auto sequence = static_cast<int64_t>(i);
    if (slot.length == static_cast<int64_t>(slot.blocks.size()) * cache_.block_size()) {
      slot.blocks.push_back(cache_.allocate());
    }
    for (size_t b = 0; b < slot.blocks.size(); ++b) {
      rows.set_block(sequence, static_cast<int64_t>(b), slot.blocks[b]);
    }
    rows.set(sequence, slot.next_id, slot.length, sequence);
    ++slot.length;
  }
  decode_.forward(rows);
  decode_.language_head(logits_);
}

// Draws a token for every slot in use; slots whose answer is complete become idle.
void Generator::draw() {
  Backend& backend = model_.backend();
  std::vector<float> temperatures(slots_.size(), 0.0f), top_p(slots_.size(), 1.0f);
  std::vector<int32_t> top_k(slots_.size(), 0), keys(4 * slots_.size(), 0);
  for (size_t i = 0; i < slots_.size(); ++i) {
    if (!slots_[i].request) continue;
    const GenerationRequest& request = *slots_[i].request;
    temperatures[i] = request.settings.temperature;
    top_k[i] = request.settings.top_k;
    top_p[i] = request.settings.top_p;
    const auto position = static_cast<uint64_t>(slots_[i].length);
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
                      slot.length + 1 == options_.max_context;
    if (result.finished_by_eos || full) leave(slot);
  }
}

}  // namespace cria

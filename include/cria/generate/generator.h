// Generation with a batch that requests enter and leave as they finish.
//
// The engine has a fixed number of slots, its width. Each step is one pass over all slots, idle
// ones included, then one draw of a token for each slot in use. A new request's prompt goes through
// the transformer first, all but its last token, in passes of a fixed number of rows, which prompts
// that come in together share; the last token is the first that its slot decodes. So products
// always run at the same shapes, and a sample depends on (seed, example, prompt, settings, width),
// never on what else is in the batch.
//
// Requests that follow each other with the same prompt share its cache: list a prompt's samples one
// after the other.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "cria/model/cached_sequence.h"
#include "cria/model/decoder.h"

namespace cria {

struct SamplingSettings {
  float temperature = 1.0f;  // 0: greedy
  int32_t top_k = 0;         // 0: all
  float top_p = 1.0f;        // 1: all
  int64_t max_new_tokens = 256;
  std::vector<int32_t> stop_ids;  // any of these ends the answer, and is its last token
};

// Throws an input Error naming the setting that is out of bounds; `where` says who set it.
void validate(const SamplingSettings& settings, const std::string& where);

struct GenerationRequest {
  std::vector<int32_t> prompt;  // token ids, at least one
  uint64_t example = 0;         // the key of its random numbers: sample_example(prompt, sample)
  SamplingSettings settings;
};

// The key of sample number `sample` of prompt number `prompt`.
constexpr uint64_t sample_example(uint32_t prompt, uint32_t sample) {
  return uint64_t{prompt} << 32 | sample;
}

// An input Error that names `where` when a setting is out of bounds, the prompt is empty, leaves no
// room in a context of max_context tokens, or has ids outside the vocabulary.
void validate(const GenerationRequest& request, const ModelConfig& config, int64_t max_context,
              const std::string& where);

struct GenerationResult {
  std::vector<int32_t> tokens;   // as sampled, the stop id included where it was reached
  std::vector<float> logprobs;   // of each, at its temperature, before top-k and top-p
  bool finished_by_eos = false;  // by one of the stop ids; else by max_new_tokens or the context
  bool complete = false;         // false: the listener ended it, or all before it began
};

struct DrawnToken {
  size_t request;  // its place among the requests
  int32_t id;
  bool last;  // of its answer
};

enum class AfterToken { go_on, end_answer, end_all };

// Told of every token as it is drawn; what it returns can end an answer early, or all of them.
using TokenListener = std::function<AfterToken(const DrawnToken&)>;

struct GeneratorOptions {
  int64_t slots = 16;
  int64_t max_context = 0;  // of prompt and answer; 0: what the model allows
  int64_t block_size = 32;
  int64_t prefill_rows = 64;
  uint64_t seed = 0;
  // For dialogues: what the last request left in the cache stays there, and a prompt that begins
  // with the same tokens goes on from where they part. The bits of a sample then depend on the
  // requests before it too.
  bool keep_prefix = false;
};

class Generator {
 public:
  // An input Error when the model has no language head or an option is out of bounds.
  Generator(const Model& model, const GeneratorOptions& options);
  Generator(const Generator&) = delete;
  Generator& operator=(const Generator&) = delete;

  void reserve(Arena& arena);

  // One result for each request, in their order. All are validated before the first is begun.
  // After an exception, the listener's own included, the generator is ready for other requests.
  std::vector<GenerationResult> generate(std::span<const GenerationRequest> requests,
                                         const TokenListener& listener = {});

  int64_t max_context() const { return options_.max_context; }
  const KvCache& cache() const { return cache_; }
  // The blocks of the prompt that is kept, then of every slot in use, so that they can be counted.
  std::vector<std::vector<int32_t>> blocks_in_use() const;

 private:
  struct Slot {
    const GenerationRequest* request = nullptr;  // nullptr: idle
    GenerationResult* result = nullptr;
    size_t index = 0;  // of the request
    CachedSequence cached;
    int32_t next_id = 0;  // the one to be decoded next
  };

  // Rows of prompts that wait for their pass.
  struct WaitingRows {
    DecoderRows rows;
    int64_t count = 0;      // rows in use
    int64_t sequences = 0;  // and their sequences
  };

  void enter(Slot& slot);
  void leave(Slot& slot);
  void clear_slots();
  void keep(std::span<const int32_t> ids);
  void prefill();
  void step();
  bool draw(const TokenListener& listener);

  const Model& model_;
  GeneratorOptions options_;
  KvCache cache_;
  Decoder prefill_;
  Decoder decode_;
  std::vector<Slot> slots_;
  WaitingRows waiting_;
  // All tokens but the last of the prompt that came in last, so that the next sample of the same
  // prompt need not compute them again; with keep_prefix what the last request to leave had.
  CachedSequence kept_;

  Tensor logits_;                // [slots, V] fp32
  Tensor tokens_, top_k_;        // [slots] i32
  Tensor logprobs_;              // [slots] fp32
  Tensor temperatures_, top_p_;  // [slots] fp32
  Tensor keys_;                  // [slots, 4] i32
  Tensor workspace_;
};

}  // namespace cria

// What the tests of the generator stand on.
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include <omp.h>

#include "cria/generate/generator.h"
#include "cria/io/hugging_face.h"

#include "generate/small_model.h"
#include "support/places.h"

namespace cria::testing {

// Sets the number of threads of the ops while it lives. On models as small as these a second thread
// costs more than it does, and on a busy machine a hundred times more.
class Threads {
 public:
  explicit Threads(int count) : before_(omp_get_max_threads()) { omp_set_num_threads(count); }
  Threads(const Threads&) = delete;
  ~Threads() { omp_set_num_threads(before_); }

 private:
  int before_;
};

// A model with a generator on top, small enough that prompts are longer than blocks and chunks.
class Engine {
 public:
  explicit Engine(const ModelConfig& config, GeneratorOptions options = {},
                  DType dtype = DType::f32, int threads = 1,
                  const std::string& device = test_device())
      : threads_(threads),
        small_(config, dtype, /*seed=*/1, device),
        generator_(small_.model(), with_small_blocks(options)) {
    generator_.reserve(small_.arena());
    small_.load();
  }
  // A model of tests/golden/models.
  Engine(const std::string& golden, GeneratorOptions options, DType dtype)
      : threads_(1),
        small_(read_model_config(golden_directory(golden)), dtype),
        generator_(small_.model(), with_small_blocks(options)) {
    generator_.reserve(small_.arena());
    small_.load(golden_directory(golden));
  }

  Generator& generator() { return generator_; }
  SmallModel& small() { return small_; }

  int64_t vocab_size() const { return small_.model().config().vocab_size; }

  GenerationResult generate_one(const GenerationRequest& request) {
    return generator_.generate(std::span(&request, 1)).front();
  }

 private:
  static GeneratorOptions with_small_blocks(GeneratorOptions options) {
    options.block_size = 8;
    options.prefill_rows = 16;
    options.seed = 5;
    return options;
  }

  static std::string golden_directory(const std::string& name) {
    return source_path("tests/golden/models/" + name);
  }

  Threads threads_;
  SmallModel small_;
  Generator generator_;
};

inline std::vector<int32_t> joined(std::vector<int32_t> ids, const std::vector<int32_t>& more) {
  ids.insert(ids.end(), more.begin(), more.end());
  return ids;
}

inline GenerationRequest request(int64_t prompt_length, uint64_t example,
                                 SamplingSettings settings) {
  return {.prompt = random_prompt(prompt_length, 97, example),
          .example = example,
          .settings = std::move(settings)};
}

}  // namespace cria::testing

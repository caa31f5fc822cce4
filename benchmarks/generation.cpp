// Greedy answers of 256 tokens to random prompts, a prompt for each slot of the engine, with no
// token that ends an answer. With --part weights, only the reading of the weights from memory, as
// often as a sequence has steps: what decoding would take if everything else were free. Takes turns
// as rounds.h says.
#include <CLI/CLI.hpp>

#include "cria/core/parallel.h"
#include "cria/core/random.h"
#include "cria/generate/generator.h"

#include "rounds.h"
#include "trainers/model_shape.h"
#include "trainers/pretrained_model.h"

namespace cria {

namespace {

struct Options {
  std::string model;
  std::vector<std::string> assignments;
  std::string precision = "fp32";
  std::string device = "cpu";
  std::string part = "generation";
  int64_t batch = 1;
  int64_t prompt_length = 32;
  int64_t new_tokens = 256;
};

std::vector<GenerationRequest> random_requests(const Options& options, int64_t vocab_size) {
  const Random random(1, Purpose::data_synthesis);
  std::vector<GenerationRequest> requests;
  for (int64_t r = 0; r < options.batch; ++r) {
    GenerationRequest request{.prompt = {},
                              .example = static_cast<uint64_t>(r),
                              .settings = {.temperature = 0.0f,
                                           .top_k = 0,
                                           .top_p = 1.0f,
                                           .max_new_tokens = options.new_tokens,
                                           .stop_ids = {}}};
    for (int64_t i = 0; i < options.prompt_length; ++i) {
      const auto position = static_cast<uint64_t>(r * options.prompt_length + i);
      request.prompt.push_back(
          static_cast<int32_t>(random.below(static_cast<uint64_t>(vocab_size), position)));
    }
    requests.push_back(std::move(request));
  }
  return requests;
}

// The sum of all words keeps the compiler from leaving the reading out.
uint64_t read_all(const std::vector<Tensor>& tensors) {
  uint64_t total = 0;
  for (const Tensor& tensor : tensors) {
    const auto* words = static_cast<const uint64_t*>(tensor.data);
    const auto count = static_cast<int64_t>(tensor.bytes() / sizeof(uint64_t));
#pragma omp parallel for simd reduction(+ : total) schedule(static)
    for (int64_t i = 0; i < count; ++i) total += words[i];
  }
  return total;
}

void run(const Options& options) {
  const ParameterLayout layout(read_model_shape(options.model, options.assignments));
  const std::unique_ptr<Backend> backend = make_backend(options.device);
  const MemoryUse memory(*backend);
  Arena arena(backend->memory());
  const DType dtype = dtype_of_precision(options.precision);
  Model model(layout, dtype, *backend);
  model.reserve(arena, /*training=*/false);
  Generator generator(
      model, {.slots = options.batch, .max_context = options.prompt_length + options.new_tokens});
  generator.reserve(arena);
  arena.allocate();
  model.prepare();
  {
    Arena initial(backend->memory());
    ParameterSet masters(layout, DType::f32);
    masters.reserve(initial, "parameters");
    initial.allocate();
    initialize_weights(masters, *backend, 1);
    for (size_t block = 0; block < masters.block_count(); ++block) {
      if (dtype == DType::f32) {
        backend->copy(model.weights.block(block), masters.block(block));
      } else {
        backend->cast(model.weights.block(block), masters.block(block));
      }
    }
  }
  model.weights_changed();

  const int64_t tokens = options.batch * options.new_tokens;
  if (options.part == "weights") {
    std::vector<Tensor> matrices;
    for (size_t block = 0; block < model.weights.block_count(); ++block) {
      matrices.push_back(model.weights.block(block));
    }
    volatile uint64_t sink = 0;
    take_turns({.name = "reading the weights", .items = tokens}, memory, [&] {
      for (int64_t t = 0; t < options.new_tokens; ++t) sink = read_all(matrices);
    });
    return;
  }
  const std::vector<GenerationRequest> requests =
      random_requests(options, layout.config().vocab_size);
  const std::string name = fmt::format("cria {}, KV cache {}", options.precision,
                                       format_bytes(generator.cache().bytes()));
  take_turns({.name = name, .items = tokens}, memory, [&] { generator.generate(requests); });
}

}  // namespace

}  // namespace cria

int main(int argc, char** argv) {
  CLI::App app("generation, a round for each line on stdin");
  cria::Options options;
  app.add_option("--model", options.model, "YAML file with its shape")->required();
  app.add_option("--set", options.assignments, "key=value of the shape");
  app.add_option("--precision", options.precision, "fp32 or bf16");
  app.add_option("--device", options.device, "cpu or cuda");
  app.add_option("--part", options.part, "generation or weights")
      ->check(CLI::IsMember({"generation", "weights"}));
  app.add_option("--batch", options.batch, "sequences side by side");
  app.add_option("--prompt-length", options.prompt_length);
  app.add_option("--new-tokens", options.new_tokens);
  CLI11_PARSE(app, argc, argv);
  try {
    cria::run(options);
  } catch (const cria::Error& error) {
    std::cerr << "error: " << error.what() << '\n';
    return error.exit_code();
  }
}

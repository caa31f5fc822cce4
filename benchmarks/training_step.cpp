// One optimizer step of a Llama from random weights on 8 sequences of 256 tokens, in passes of
// --micro-batch-tokens: forward, backward, gradient norm, AdamW. With --part products, only the
// matrix products of that step, on the same shapes: what a step would take if everything else were
// free. Takes turns as rounds.h says.
#include <CLI/CLI.hpp>

#include "cria/core/random.h"
#include "cria/optim/optimizer.h"

#include "rounds.h"
#include "trainers/learner.h"
#include "trainers/model_shape.h"
#include "trainers/pretrained_model.h"
#include "trainers/token_loss.h"

namespace cria {

namespace {

struct Options {
  std::string model;
  std::vector<std::string> assignments;
  std::string precision = "fp32";
  std::string device = "cpu";
  std::string part = "step";
  std::string state = "fp32";
  int64_t sequences = 8;
  int64_t length = 256;
  int64_t micro_batch_tokens = 0;
};

// 6 for each parameter and token, and causal attention counted once.
double model_flop(const ParameterLayout& layout, const Options& options) {
  const ModelConfig& c = layout.config();
  const double attention =
      6.0 * c.num_hidden_layers * static_cast<double>(c.query_size() * options.length);
  return (6.0 * static_cast<double>(layout.parameter_count()) + attention) *
         static_cast<double>(options.sequences * options.length);
}

std::vector<Group> random_batch(const Options& options, int64_t vocab_size) {
  const Random random(1, Purpose::data_synthesis);
  std::vector<Group> batch;
  for (int64_t s = 0; s < options.sequences; ++s) {
    Example example;
    for (int64_t i = 0; i < options.length; ++i) {
      const auto position = static_cast<uint64_t>(s * options.length + i);
      example.ids.push_back(
          static_cast<int32_t>(random.below(static_cast<uint64_t>(vocab_size), position)));
    }
    example.labels = example.ids;
    batch.push_back({example});
  }
  return batch;
}

// The products of one step, each into memory of its own size.
class Products {
 public:
  Products(Learner& learner, int64_t tokens)
      : learner_(learner), tokens_(tokens), arena_(learner.backend().memory()) {
    const ModelConfig& c = learner.config();
    const DType dtype = learner.model.dtype();
    const int64_t widest = std::max({c.qkv_size(), 2 * c.intermediate_size, c.hidden_size});
    arena_.reserve(left_, "activations", dtype, {tokens * widest});
    arena_.reserve(right_, "activations", dtype, {tokens * widest});
    arena_.reserve(logits_, "activations", DType::f32, {kHeadRows, c.vocab_size});
    arena_.reserve(logit_gradient_, "activations", dtype, {kHeadRows, c.vocab_size});
    arena_.allocate();
  }

  void run() {
    Model& model = learner_.model;
    ParameterSet& gradients = learner_.optimizer.gradients();
    for (int i = 0; i < learner_.config().num_hidden_layers; ++i) {
      const LayerTensors layer = model.weights.layer(i);
      const LayerTensors gradient = gradients.layer(i);
      run(layer.qkv, gradient.qkv);
      run(layer.attention_out, gradient.attention_out);
      run(layer.gate_up, gradient.gate_up);
      run(layer.down, gradient.down);
    }
    run_head(model.weights.language_head(), gradients.language_head());
  }

 private:
  static constexpr int64_t kHeadRows = 256;  // of logits at once, as token_logprob has them

  void run(Tensor weight, Tensor weight_gradient) {
    Backend& backend = learner_.backend();
    const Tensor input = left_.flat(0, tokens_ * weight.shape[1]).view({tokens_, weight.shape[1]});
    const Tensor output =
        right_.flat(0, tokens_ * weight.shape[0]).view({tokens_, weight.shape[0]});
    const LinearWeight operand = learner_.model.linear(weight);
    backend.linear_forward({.output = output, .input = input, .weight = operand});
    backend.linear_backward_input(
        {.input_gradient = input, .output_gradient = output, .weight = operand});
    backend.linear_backward_weight(
        {.weight_gradient = weight_gradient, .output_gradient = output, .input = input});
  }

  void run_head(Tensor weight, Tensor weight_gradient) {
    Backend& backend = learner_.backend();
    const LinearWeight operand = learner_.model.linear(weight);
    const Tensor hidden =
        left_.flat(0, kHeadRows * weight.shape[1]).view({kHeadRows, weight.shape[1]});
    for (int64_t t = 0; t < tokens_; t += kHeadRows) {
      backend.linear_forward({.output = logits_, .input = hidden, .weight = operand});
      backend.linear_backward_input(
          {.input_gradient = hidden, .output_gradient = logit_gradient_, .weight = operand});
      backend.linear_backward_weight({.weight_gradient = weight_gradient,
                                      .output_gradient = logit_gradient_,
                                      .input = hidden});
    }
  }

  Learner& learner_;
  int64_t tokens_;
  Arena arena_;
  Tensor left_, right_, logits_, logit_gradient_;
};

void run(const Options& options) {
  const ModelConfig config = read_model_shape(options.model, options.assignments);
  const std::unique_ptr<Backend> backend = make_backend(options.device);
  const MemoryUse memory(*backend);
  const int64_t tokens = options.sequences * options.length;
  const int64_t micro_batch = options.micro_batch_tokens > 0 ? options.micro_batch_tokens : tokens;
  const DType precision = dtype_of_precision(options.precision);
  const DType state = dtype_of_precision(options.state);
  Arena arena(backend->memory());
  PassBuffers passes(config, precision, {.max_tokens = micro_batch});
  Learner learner(config, *backend, precision, {.gradient_dtype = state, .moment_dtype = state},
                  passes);
  learner.reserve(arena);
  arena.allocate();
  learner.prepare();
  initialize_weights(learner.optimizer.masters(), *backend, 1);
  learner.loaded();
  Optimizer& optimizer = learner.optimizer;

  if (options.part == "products") {
    Products products(learner, micro_batch);
    take_turns({.name = "cria " + options.precision + " products", .items = tokens}, memory, [&] {
      for (int64_t t = 0; t < tokens; t += micro_batch) products.run();
      backend->synchronize();
    });
    return;
  }
  const std::vector<Group> batch = random_batch(options, config.vocab_size);
  const std::unique_ptr<Communicator> communicator = make_communicator();
  TokenLoss loss(config);
  int64_t step = 0;
  const Work work{.name = "cria " + options.precision,
                  .items = tokens,
                  .flop = model_flop(ParameterLayout(config), options)};
  take_turns(work, memory, [&] {
    optimizer.zero_gradients();
    loss.begin(batch, PassKind::training);
    for (const MicroBatch& micro : split(batch, micro_batch, 0, 1)) {
      loss.pass(learner, micro);
    }
    loss.end(*communicator);
    optimizer.update(++step, 1e-4, optimizer.gradient_norm());
    backend->synchronize();
  });
}

}  // namespace

}  // namespace cria

int main(int argc, char** argv) {
  CLI::App app("one training step, a round for each line on stdin");
  cria::Options options;
  app.add_option("--model", options.model, "YAML file with its shape")->required();
  app.add_option("--set", options.assignments, "key=value of the shape");
  app.add_option("--precision", options.precision, "fp32 or bf16");
  app.add_option("--device", options.device, "cpu or cuda");
  app.add_option("--part", options.part, "step or products")
      ->check(CLI::IsMember({"step", "products"}));
  app.add_option("--state", options.state, "of gradients and moments: fp32 or bf16");
  app.add_option("--sequences", options.sequences);
  app.add_option("--micro-batch-tokens", options.micro_batch_tokens, "0: all at once");
  app.add_option("--length", options.length);
  CLI11_PARSE(app, argc, argv);
  try {
    cria::run(options);
  } catch (const cria::Error& error) {
    std::cerr << "error: " << error.what() << '\n';
    return error.exit_code();
  }
}

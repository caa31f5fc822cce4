#include "trainers/dpo.h"

#include <filesystem>

#include "cria/io/file.h"

#include "trainers/reference_logprobs.h"

namespace cria {

namespace {

// The same tokens must mean the same to both; and where they share pass buffers, they have one
// shape.
void check_reference(const std::string& directory, const DpoConfig& config,
                     const TrainerSetup& setup) {
  ModelConfig reference = read_model_config(directory);
  if (reference.head != HeadKind::language) {
    throw input_error("dpo.reference", directory + " is a reward model: no language head",
                      "give a language model");
  }
  const std::string tokenizer = directory + "/tokenizer.model";
  if (std::filesystem::exists(tokenizer) &&
      read_file(tokenizer) != setup.tokenizer().model_bytes()) {
    throw input_error("dpo.reference", tokenizer + " is not the tokenizer of this run",
                      "give a reference model with the policy's tokenizer");
  }
  if (config.dpo.precompute_reference) return;
  const ModelConfig& policy = setup.model_config();
  reference.bos_token_id = policy.bos_token_id;
  reference.eos_token_id = policy.eos_token_id;
  reference.pad_token_id = policy.pad_token_id;
  reference.initializer_range = policy.initializer_range;
  if (reference != policy) {
    throw input_error("dpo.reference", directory + " has another shape than model.path",
                      "set dpo.precompute_reference: true");
  }
}

}  // namespace

void declare(ConfigSchema& schema, DpoConfig& c) {
  declare(schema, static_cast<TrainConfig&>(c));
  schema.key("dpo.beta", c.dpo.beta, "how closely the policy is held to the reference").positive();
  schema.choice("dpo.loss_type", c.dpo.loss_type, {"sigmoid", "ipo"}, "DPO, or IPO");
  schema
      .key("dpo.label_smoothing", c.dpo.label_smoothing,
           "share of the pairs taken to be labelled the wrong way round; of sigmoid")
      .at_least(0)
      .below(0.5);
  schema.key("dpo.reference", c.dpo.reference,
             "Hugging Face directory of the reference model; empty: model.path");
  schema.key("dpo.precompute_reference", c.dpo.precompute_reference,
             "score all answers with the reference before training, kept in output_dir; false: in "
             "every step, with both models in memory");
}

int dpo(const DpoConfig& config, const std::string& resolved_config) {
  if (config.dpo.loss_type == "ipo" && config.dpo.label_smoothing > 0) {
    throw input_error("dpo.label_smoothing", "ipo has no label smoothing", "set it to 0");
  }
  TrainerSetup setup(config, {.sequences_of_a_group = 2});
  const std::string reference =
      config.dpo.reference.empty() ? config.model.path : config.dpo.reference;
  check_reference(reference, config, setup);
  const auto data = make_preference_data(data_options(config), config.data.eval, setup.tokenizer());
  const auto& training = config.training;
  if (config.dpo.precompute_reference) {
    DpoLoss objective(
        config.dpo, *data,
        reference_logprobs(reference, {.device = training.device, .precision = training.precision},
                           *data, training.output_dir + "/reference_logprobs.json",
                           setup.communicator()));
    return setup.run(resolved_config, objective, *data, data->evaluation_rows());
  }
  FrozenModel frozen(reference, dtype_of_precision(training.precision), setup.backend());
  DpoLoss objective(config.dpo, *data, &frozen.model());
  return setup.run(resolved_config, objective, *data, data->evaluation_rows(), &frozen);
}

}  // namespace cria

#include "trainers/trainer_setup.h"

#include <spdlog/spdlog.h>

#include "cria/io/hugging_face.h"

#include "trainers/pretrained_model.h"

namespace cria {

TrainerSetup::TrainerSetup(const TrainConfig& config)
    : config_(config),
      communicator_(make_communicator()),
      backend_(make_backend(config.training.device)),
      model_config_(read_model_config(config.model.path)),
      tokenizer_(config.tokenizer.path.empty() ? config.model.path + "/tokenizer.model"
                                               : config.tokenizer.path) {
  validate(config, model_config_);
  if (tokenizer_.vocab_size() > model_config_.vocab_size) {
    throw input_error("tokenizer.path",
                      fmt::format("the tokenizer has {} pieces, the model {}",
                                  tokenizer_.vocab_size(), model_config_.vocab_size),
                      "use the tokenizer that the model was made for");
  }
}

int TrainerSetup::run(const std::string& resolved_config, Objective& objective, TrainingData& data,
                      std::vector<Row> evaluation_rows) {
  const DType precision = dtype_of_precision(config_.training.precision);
  Arena arena(backend_->memory());
  PassBuffers passes(model_config_, precision, pass_plan(config_));
  Learner learner(model_config_, *backend_, precision, optimizer_options(config_), passes);
  learner.reserve(arena);
  if (communicator_->is_root()) {
    spdlog::info("{}, {} parameters in {}", backend_->description(),
                 learner.model.weights.layout().parameter_count(), config_.training.precision);
    spdlog::info("{}", data.report());
    spdlog::info("memory\n{}", arena.table());
  }
  arena.allocate();
  learner.prepare();
  return train({.config = config_,
                .resolved_config = resolved_config,
                .learner = learner,
                .objective = objective,
                .data = data,
                .evaluation_rows = std::move(evaluation_rows),
                .tokenizer = tokenizer_,
                .communicator = *communicator_});
}

}  // namespace cria

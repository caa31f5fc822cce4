#include "trainers/trainer_setup.h"

#include <spdlog/spdlog.h>

#include "cria/io/hugging_face.h"
#include "cria/ops/attention_choice.h"

#include "trainers/pretrained_model.h"

namespace cria {

TrainerSetup::TrainerSetup(const TrainConfig& config, const TrainerNeeds& needs)
    : config_(config),
      needs_(needs),
      communicator_(make_communicator()),
      backend_(make_backend(config.training.device)),
      reduction_(make_reduction(*communicator_, *backend_, config.training.reduction)),
      model_config_(read_model_config(config.model.path)),
      tokenizer_(config.tokenizer.path.empty() ? config.model.path + "/tokenizer.model"
                                               : config.tokenizer.path) {
  choose_attention(*backend_, config.training.attention);
  validate(config, model_config_, needs.sequences_of_a_group);
  if (communicator_->size() > 1 && communicator_->is_root() && backend_->device() == Device::cuda) {
    spdlog::info("gradients of {} ranks are summed {}", communicator_->size(),
                 reduction_->description());
  }
  if (tokenizer_.vocab_size() > model_config_.vocab_size) {
    throw input_error("tokenizer.path",
                      fmt::format("the tokenizer has {} pieces, the model {}",
                                  tokenizer_.vocab_size(), model_config_.vocab_size),
                      "use the tokenizer that the model was made for");
  }
  if (needs.head == HeadKind::language && model_config_.head == HeadKind::score) {
    throw input_error("model.path", config.model.path + " is a reward model: no language head",
                      "start from a language model");
  }
  if (needs.head == HeadKind::score) {
    if (model_config_.head == HeadKind::language) missing_head_ = MissingHead::allow;
    model_config_.head = HeadKind::score;
    model_config_.tie_word_embeddings = false;  // there is no language head to tie
    // transformers reads the score before the first of the pads at the end: an eos must be none.
    if (model_config_.pad_token_id < 0 || model_config_.pad_token_id == tokenizer_.eos_id()) {
      model_config_.pad_token_id = tokenizer_.unk_id();
    }
  }
}

int TrainerSetup::run(const std::string& resolved_config, Objective& objective, TrainingData& data,
                      std::vector<Row> evaluation_rows, FrozenModel* frozen) {
  const DType precision = dtype_of_precision(config_.training.precision);
  Arena arena(backend_->memory());
  PassBuffers passes(model_config_, precision, pass_plan(config_, needs_.sequences_of_a_group));
  Learner learner(model_config_, *backend_, precision, optimizer_options(config_), passes);
  learner.reserve(arena);
  if (frozen != nullptr) frozen->reserve(arena, passes);
  if (communicator_->is_root()) {
    spdlog::info("{}, {} parameters in {}", backend_->description(),
                 learner.model.weights.layout().parameter_count(), config_.training.precision);
    spdlog::info("{}", data.report());
    spdlog::info("memory\n{}", arena.table());
  }
  arena.allocate();
  learner.prepare();
  if (frozen != nullptr) frozen->load();
  return train({.config = config_,
                .resolved_config = resolved_config,
                .learner = learner,
                .objective = objective,
                .data = data,
                .evaluation_rows = std::move(evaluation_rows),
                .tokenizer = tokenizer_,
                .communicator = *communicator_,
                .reduction = *reduction_,
                .missing_head = missing_head_});
}

}  // namespace cria

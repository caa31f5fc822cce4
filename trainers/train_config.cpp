#include "trainers/train_config.h"

#include <algorithm>
#include <cmath>

#include "trainers/pretrained_model.h"

namespace cria {

void declare(ConfigSchema& schema, TrainConfig& c, TrainingFiles training_files) {
  schema.key("model.path", c.model.path, "Hugging Face directory to start from").required();
  schema.key("tokenizer.path", c.tokenizer.path, "SentencePiece model; empty: the model's own");

  if (training_files == TrainingFiles::given) {
    schema.key("data.train", c.data.train, "files to train on, with their shares of the mixture")
        .required()
        .at_least(0);
  }
  schema.key("data.eval", c.data.eval, "files to evaluate on");
  schema.key("data.shuffle", c.data.shuffle, "another order in each epoch");
  schema.key("data.max_length", c.data.max_length, "tokens a row").at_least(2);
  schema.key("data.packing", c.data.packing, "fill rows with several examples");
  schema.choice("data.over_long", c.data.over_long, {"drop", "truncate"},
                "examples longer than max_length");
  schema.key("data.skip_bad_lines", c.data.skip_bad_lines,
             "count and report bad lines instead of stopping");
  schema.choice("data.epoch", c.data.epoch, {"total", "first_exhausted", "all_exhausted"},
                "as much as all files hold, or until the first or the last file is gone through");
  schema.choice("data.mixing", c.data.mixing, {"weights", "sizes"},
                "the share of a file in the stream: its weight, or its weight times its size");
  schema.choice("data.targets", c.data.targets, {"all", "last"},
                "answers of a dialogue that are learnt");
  schema.key("data.separator", c.data.separator,
             "text between prompt and completion instead of the chat format");

  schema.key("training.max_steps", c.training.max_steps, "optimizer steps").at_least(1);
  schema
      .key("training.num_train_epochs", c.training.num_train_epochs,
           "passes over the data, instead of max_steps")
      .positive();
  schema
      .key("training.train_batch_size", c.training.train_batch_size,
           "rows (or examples without packing) a step, over all ranks")
      .required()
      .at_least(1);
  schema
      .key("training.micro_batch_tokens", c.training.micro_batch_tokens,
           "most tokens in one forward and backward pass of a rank; 0: data.max_length, of a pair "
           "twice")
      .at_least(0);
  schema.key("training.seed", c.training.seed, "seed of everything random");
  schema.choice("training.precision", c.training.precision, {"fp32", "bf16"},
                "weights and activations; masters stay fp32");
  schema.choice("training.gradient_dtype", c.training.gradient_dtype, {"fp32", "bf16"},
                "gradient accumulators");
  schema.choice("training.moment_dtype", c.training.moment_dtype, {"fp32", "bf16"},
                "AdamW moments; bf16 is rounded stochastically");
  schema.choice("training.recompute", c.training.recompute, {"none", "block"},
                "activations made again in backward to save memory");
  schema.choice("training.device", c.training.device, {"auto", "cpu", "cuda", "emulated"},
                "where to compute");
  schema.choice("training.reduction", c.training.reduction, {"auto", "nccl", "host"},
                "where gradients are summed over the ranks: by NCCL in the memory of GPUs, or in "
                "the host's; auto: nccl where every rank has a GPU of its own");
  schema.choice("training.attention", c.training.attention, {"native", "cudnn"},
                "whose attention: cria's own, or cuDNN's (on GPUs, bf16 passes)");
  schema
      .key("training.eval_steps", c.training.eval_steps,
           "evaluate every so many steps, and at the end; 0: only at the end")
      .at_least(0);
  schema
      .key("training.stop_at_step", c.training.stop_at_step,
           "save and stop after this step, on the same schedule")
      .at_least(1);
  schema.key("training.output_dir", c.training.output_dir, "where the run is written").required();

  schema.key("optimizer.learning_rate", c.optimizer.learning_rate, "peak learning rate")
      .required()
      .positive();
  schema.key("optimizer.beta1", c.optimizer.beta1, "decay of the first moment")
      .at_least(0)
      .below(1);
  schema.key("optimizer.beta2", c.optimizer.beta2, "decay of the second moment")
      .at_least(0)
      .below(1);
  schema.key("optimizer.epsilon", c.optimizer.epsilon, "added to the root of the second moment")
      .positive();
  schema.key("optimizer.weight_decay", c.optimizer.weight_decay, "on matrices; norms have none")
      .at_least(0);
  schema
      .key("optimizer.max_grad_norm", c.optimizer.max_grad_norm,
           "clip the global gradient norm; 0: never")
      .at_least(0);
  schema.choice("optimizer.lr_scheduler_type", c.optimizer.lr_scheduler_type,
                {"cosine", "linear", "constant"}, "after warm-up");
  schema.key("optimizer.warmup_steps", c.optimizer.warmup_steps, "steps of linear warm-up")
      .at_least(0);
  schema
      .key("optimizer.warmup_ratio", c.optimizer.warmup_ratio,
           "share of all steps, instead of warmup_steps")
      .at_least(0)
      .at_most(1);
  schema
      .key("optimizer.min_warmup_steps", c.optimizer.min_warmup_steps,
           "least steps of a warm-up given by warmup_ratio")
      .at_least(0);
  schema
      .key("optimizer.final_ratio", c.optimizer.final_ratio,
           "learning rate at the last step, as a share of the peak")
      .at_least(0)
      .at_most(1);

  schema
      .key("checkpoint.save_steps", c.checkpoint.save_steps,
           "save every so many steps; 0: only at the end")
      .at_least(0);
  schema.key("checkpoint.keep", c.checkpoint.keep, "newest checkpoints to keep; 0: all")
      .at_least(0);
  schema.key("checkpoint.resume", c.checkpoint.resume,
             "auto (the newest in output_dir), none, or a checkpoint directory");

  schema.key("logging.logging_steps", c.logging.logging_steps, "log every so many steps")
      .at_least(1);
  schema.key("logging.tensorboard", c.logging.tensorboard,
             "event files for TensorBoard in output_dir/tensorboard");
}

void validate(const TrainConfig& config, const ModelConfig& model, int sequences_of_a_group) {
  const auto& training = config.training;
  if (training.max_steps.has_value() == training.num_train_epochs.has_value()) {
    throw input_error("training.max_steps",
                      training.max_steps ? "max_steps and num_train_epochs are both given"
                                         : "neither max_steps nor num_train_epochs is given",
                      "give one of them");
  }
  if (training.attention == "cudnn" && training.precision != "bf16") {
    throw input_error("training.attention", "cudnn computes in bf16 alone",
                      "set training.precision to bf16, or training.attention to native");
  }
  if (config.optimizer.warmup_steps > 0 && config.optimizer.warmup_ratio > 0) {
    throw input_error("optimizer.warmup_steps", "warmup_steps and warmup_ratio are both given",
                      "give one of them");
  }
  if (config.optimizer.min_warmup_steps > 0 && !(config.optimizer.warmup_ratio > 0)) {
    throw input_error("optimizer.min_warmup_steps", "there is no warmup_ratio that it could bound",
                      "give warmup_steps alone instead");
  }
  if (config.data.max_length > model.max_position_embeddings) {
    throw input_error("data.max_length",
                      fmt::format("{} is more than the model's max_position_embeddings {}",
                                  config.data.max_length, model.max_position_embeddings));
  }
  const int64_t group_tokens = sequences_of_a_group * config.data.max_length;
  if (training.micro_batch_tokens != 0 && training.micro_batch_tokens < group_tokens) {
    throw input_error(
        "training.micro_batch_tokens",
        sequences_of_a_group == 1
            ? fmt::format("{} is less than data.max_length {}", training.micro_batch_tokens,
                          config.data.max_length)
            : fmt::format("{} is less than {} sequences of data.max_length {}",
                          training.micro_batch_tokens, sequences_of_a_group,
                          config.data.max_length),
        sequences_of_a_group == 1
            ? "one row must fit: raise it or lower data.max_length"
            : "chosen and rejected answer share a pass: raise it or lower data.max_length");
  }
  if (training.precision == "fp32" && training.gradient_dtype == "bf16") {
    throw input_error("training.gradient_dtype", "bf16 gradients need training.precision: bf16");
  }
  if (training.eval_steps > 0 && config.data.eval.empty()) {
    throw input_error("training.eval_steps", "data.eval names no file",
                      "add one or set eval_steps to 0");
  }
}

DataOptions data_options(const TrainConfig& config) {
  DataOptions options{.train = config.data.train,
                      .shuffle = config.data.shuffle,
                      .max_length = config.data.max_length,
                      .packing = config.data.packing,
                      .over_long = config.data.over_long,
                      .skip_bad_lines = config.data.skip_bad_lines,
                      .epoch = config.data.epoch,
                      .mixing = config.data.mixing,
                      .seed = config.training.seed,
                      .targets = config.data.targets == "all" ? Targets::all : Targets::last};
  if (!config.data.separator.empty()) options.separator = config.data.separator;
  return options;
}

OptimizerOptions optimizer_options(const TrainConfig& config) {
  return {.beta1 = config.optimizer.beta1,
          .beta2 = config.optimizer.beta2,
          .epsilon = config.optimizer.epsilon,
          .weight_decay = config.optimizer.weight_decay,
          .max_grad_norm = config.optimizer.max_grad_norm,
          .gradient_dtype = dtype_of_precision(config.training.gradient_dtype),
          .moment_dtype = dtype_of_precision(config.training.moment_dtype),
          .seed = config.training.seed};
}

PassPlan pass_plan(const TrainConfig& config, int sequences_of_a_group) {
  return {.max_tokens = std::max(config.training.micro_batch_tokens,
                                 sequences_of_a_group * config.data.max_length),
          .training = true,
          .recompute = config.training.recompute == "block" ? Recompute::block : Recompute::none};
}

Schedule schedule(const TrainConfig& config, int64_t total) {
  const auto& optimizer = config.optimizer;
  const auto by_ratio =
      static_cast<int64_t>(std::ceil(optimizer.warmup_ratio * static_cast<double>(total)));
  return {.type = optimizer.lr_scheduler_type,
          .peak = optimizer.learning_rate,
          .warmup_steps = std::max({optimizer.warmup_steps, by_ratio, optimizer.min_warmup_steps}),
          .total_steps = total,
          .final_ratio = optimizer.final_ratio};
}

int64_t total_steps(const TrainConfig& config, const TrainingData& data) {
  if (config.training.max_steps) return *config.training.max_steps;
  const int64_t rows = data.rows_in_epochs(*config.training.num_train_epochs);
  const int64_t batch = config.training.train_batch_size;
  return std::max<int64_t>(1, (rows + batch - 1) / batch);
}

}  // namespace cria

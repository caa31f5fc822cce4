// The config groups that every trainer shares, and what they mean for a model, its data and its
// optimizer.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cria/data/training_data.h"
#include "cria/io/config_schema.h"
#include "cria/model/transformer.h"
#include "cria/optim/optimizer.h"
#include "cria/optim/schedule.h"

namespace cria {

struct TrainConfig {
  struct {
    std::string path;
  } model;
  struct {
    std::string path;  // empty: the model's own
  } tokenizer;
  struct {
    std::vector<DataPath> train;
    std::vector<DataPath> eval;
    bool shuffle = true;
    int64_t max_length = 4096;
    bool packing = true;
    std::string over_long = "drop";
    bool skip_bad_lines = false;
    std::string epoch = "total";
    std::string mixing = "weights";
    std::string targets = "all";
    std::string separator;  // empty: the chat format
  } data;
  struct {
    std::optional<int64_t> max_steps;
    std::optional<double> num_train_epochs;
    int64_t train_batch_size = 0;
    int64_t micro_batch_tokens = 0;  // 0: as many as one group needs
    uint64_t seed = 0;
    std::string precision = "fp32";
    std::string gradient_dtype = "fp32";
    std::string moment_dtype = "fp32";
    std::string recompute = "none";
    std::string device = "auto";
    std::string reduction = "auto";
    std::string attention = "native";
    int64_t eval_steps = 0;
    std::optional<int64_t> stop_at_step;
    std::string output_dir;
  } training;
  struct {
    double learning_rate = 0;
    double beta1 = 0.9;
    double beta2 = 0.95;
    double epsilon = 1e-5;
    double weight_decay = 0.1;
    double max_grad_norm = 1.0;
    std::string lr_scheduler_type = "cosine";
    int64_t warmup_steps = 0;
    double warmup_ratio = 0;
    int64_t min_warmup_steps = 0;
    double final_ratio = 0.1;
  } optimizer;
  struct {
    int64_t save_steps = 0;
    int keep = 2;
    std::string resume = "auto";
  } checkpoint;
  struct {
    int64_t logging_steps = 10;
    bool tensorboard = true;
  } logging;
};

// Registers every key with its meaning and bounds; without data.train for a trainer that makes its
// training data itself.
enum class TrainingFiles { given, made };
void declare(ConfigSchema& schema, TrainConfig& config,
             TrainingFiles training_files = TrainingFiles::given);

// What the keys mean together. Throws an input Error for combinations that cannot be.
// `sequences_of_a_group`: how many of up to data.max_length tokens must share a pass.
void validate(const TrainConfig& config, const ModelConfig& model, int sequences_of_a_group = 1);
DataOptions data_options(const TrainConfig& config);
OptimizerOptions optimizer_options(const TrainConfig& config);
PassPlan pass_plan(const TrainConfig& config, int sequences_of_a_group = 1);
Schedule schedule(const TrainConfig& config, int64_t total_steps);
int64_t total_steps(const TrainConfig& config, const TrainingData& data);

}  // namespace cria

#include "trainers/rejection/rejection_config.h"

#include <filesystem>

namespace cria {

const std::string& RejectionConfig::generator_path() const {
  return rejection.generator.empty() ? model.path : rejection.generator;
}

int64_t RejectionConfig::samples_per_prompt() const {
  return rejection.num_samples * static_cast<int64_t>(rejection.temperatures.size());
}

void declare(ConfigSchema& schema, RejectionConfig& c) {
  declare(schema, c, TrainingFiles::made);

  auto& r = c.rejection;
  schema.key("rejection.generator", r.generator,
             "model that answers; empty: model.path, else that one learns from its answers");
  declare_reward_models(schema, "rejection", r);
  schema.key("rejection.prompts", r.prompts, "files of prompts, each answered num_samples times")
      .required();
  // The two bounds make the keys of random numbers: see sample_key().
  schema
      .key("rejection.iteration", r.iteration,
           "number of this iteration; another one draws other samples")
      .at_least(1)
      .at_most(4095);

  schema.key("rejection.num_samples", r.num_samples, "answers to a prompt at each temperature")
      .at_least(1)
      .at_most(1 << 16);
  schema
      .key("rejection.temperatures", r.temperatures,
           "of the samples; 0: always the likeliest token")
      .at_least(0);
  declare_sampling(schema, "rejection", r);
  schema
      .key("rejection.chunk_prompts", r.chunk_prompts,
           "prompts of a rank between two writes of the pool; 0: eight times what fills the slots")
      .at_least(0);

  schema.key("rejection.select_top", r.select_top, "best answers of each prompt to train on")
      .at_least(1);
  schema.choice("rejection.pool", r.pool, {"previous", "all"},
                "candidates: this iteration's samples, or those of `pools` too");
  schema.key("rejection.pools", r.pools, "pool.jsonl of earlier iterations, for pool: all");
  schema.choice("rejection.truncated", r.truncated, {"drop", "keep"},
                "answers cut off before their eos: never selected, or candidates as any other");
}

void validate(const RejectionConfig& config) {
  const auto& r = config.rejection;
  if (r.prompts.empty()) {
    throw input_error("rejection.prompts", "names no file", "give at least one");
  }
  if (r.temperatures.empty()) {
    throw input_error("rejection.temperatures", "is empty", "give at least one");
  }
  if (config.samples_per_prompt() > 1 << 20) {
    throw input_error("rejection.num_samples",
                      fmt::format("{} samples a prompt over all temperatures are too many",
                                  config.samples_per_prompt()),
                      "at most 2^20");
  }
  if (r.pool == "previous" && !r.pools.empty()) {
    throw input_error("rejection.pools", "are given, but rejection.pool is previous",
                      "set it to all, or leave the pools out");
  }
  for (const std::string& pool : r.pools) {
    if (!std::filesystem::exists(pool))
      throw input_error("rejection.pools", pool + " is not there");
    std::error_code ignored;
    if (std::filesystem::equivalent(pool, config.file("pool.jsonl"), ignored)) {
      throw input_error("rejection.pools", pool + " is this run's own pool",
                        "list those of earlier iterations");
    }
  }
}

}  // namespace cria

#include "trainers/distill/distill_config.h"

#include <nlohmann/json.hpp>

#include "cria/io/checksum.h"

#include "trainers/sample_files.h"

namespace cria {

void declare(ConfigSchema& schema, DistillConfig& c) {
  declare(schema, c, TrainingFiles::made);
  auto& d = c.distill;
  schema.key("distill.sampler", d.sampler, "model that answers; empty: model.path");
  schema.key("distill.safety", d.safety, "reward model of safety: it decides what is learnt")
      .required();
  schema.choice("distill.reward_precision", d.reward_precision, {"fp32", "bf16"},
                "of the reward model");
  schema.key("distill.prompts", d.prompts, "files of prompts").required();
  schema.choice("distill.category", d.category, {"safety", "all"},
                "which of the prompts: those of category safety, as the paper's, or all");

  schema.key("distill.generic", d.generic,
             "safety pre-prompts for any prompt; each answer draws one of them");
  schema.key("distill.templates", d.templates,
             "pre-prompts by risk: how prompts of that risk are to be answered");
  schema.key("distill.risk_field", d.risk_field,
             "field of a prompt's line that says which of the templates it gets");
  schema.choice("distill.placement", d.placement, {"system", "user"},
                "a generic pre-prompt is the system message, or stands before the user's text");
  schema.choice("distill.template_placement", d.template_placement, {"system", "user", "answer"},
                "the same of templates; answer: the answer begins with it");

  schema
      .key("distill.num_samples", d.num_samples,
           "answers to a prompt with each sort of pre-prompt; the best one may be learnt")
      .at_least(1)
      .at_most(1 << 18);
  schema.key("distill.temperature", d.temperature, "of all answers; 0: the likeliest tokens")
      .at_least(0);
  declare_sampling(schema, "distill", d);
  schema.choice("distill.truncated", d.truncated, {"drop", "keep"},
                "answers cut off before their eos: never learnt, or as any other");
  schema
      .key("distill.chunk_prompts", d.chunk_prompts,
           "prompts of a rank between two writes of the pool; 0: eight times what fills the slots")
      .at_least(0);
  schema
      .key("distill.batch_tokens", d.batch_tokens,
           "tokens in a pass of the reward model; 0: its longest sequence, 2048 at least")
      .at_least(0);
}

void validate(const DistillConfig& config) {
  const auto& d = config.distill;
  if (d.prompts.empty()) {
    throw input_error("distill.prompts", "names no file", "give at least one");
  }
  if (d.safety.empty()) throw input_error("distill.safety", "names no reward model");
  if (d.generic.empty() && d.templates.empty()) {
    throw input_error("distill.generic", "there is no pre-prompt to distill",
                      "give distill.generic, distill.templates or both");
  }
  for (const std::string& text : d.generic) {
    if (text.empty()) throw input_error("distill.generic", "an empty pre-prompt");
  }
  for (const auto& [risk, text] : d.templates) {
    if (text.empty()) throw input_error("distill.templates", "an empty one for " + risk);
  }
  if (!config.data.separator.empty()) {
    throw input_error("data.separator", "pre-prompts need the chat format", "leave it out");
  }
}

nlohmann::ordered_json sampling_settings(const DistillConfig& config,
                                         const std::string& sampler_checksum,
                                         const std::string& reward_model_checksum,
                                         const std::string& tokenizer_model) {
  const auto& d = config.distill;
  nlohmann::ordered_json settings;
  settings["distill.sampler"] = sampler_checksum;
  settings["distill.safety"] = reward_model_checksum;
  settings["tokenizer.path"] = sha256(tokenizer_model);
  settings["distill.prompts"] = file_checksums(d.prompts);
  settings["distill.category"] = d.category;
  settings["distill.generic"] = d.generic;
  settings["distill.templates"] = d.templates;
  settings["distill.risk_field"] = d.risk_field;
  settings["distill.placement"] = d.placement;
  settings["distill.template_placement"] = d.template_placement;
  settings["distill.num_samples"] = d.num_samples;
  settings["distill.temperature"] = d.temperature;
  add_settings(settings, "distill", d);
  settings["distill.batch_tokens"] = d.batch_tokens;
  settings["data.max_length"] = config.data.max_length;
  settings["data.skip_bad_lines"] = config.data.skip_bad_lines;
  settings["training.precision"] = config.training.precision;
  settings["training.seed"] = config.training.seed;
  return settings;
}

}  // namespace cria

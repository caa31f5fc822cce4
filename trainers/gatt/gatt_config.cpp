#include "trainers/gatt/gatt_config.h"

#include <nlohmann/json.hpp>

#include "cria/io/checksum.h"

#include "trainers/sample_files.h"

namespace cria {

namespace {

void declare_kind(ConfigSchema& schema, ListedKind& kind, const std::string& values,
                  const std::string& what) {
  const std::string group = "gatt.";
  schema.key(group + values, kind.values, what + " to instruct with; empty: the model lists some");
  schema.key(group + kind.name + "_prompts", kind.prompts,
             "what the model is asked for lists of " + what + "; empty: no such instructions");
  schema.key(group + kind.name + "_long", kind.long_form,
             "the instruction, {} being the value; sampling has this form");
  schema.key(group + kind.name + "_short", kind.short_form,
             "the same, shortened; empty: always the long form");
}

void declare_instructions(ConfigSchema& schema, GattConfig& c) {
  auto& g = c.gatt;
  schema.choice("gatt.source", g.source, {"lists", "file", "dialogues"},
                "where instructions come from: lists that the model makes or that stand here, the "
                "files gatt.instructions, or the dialogues' own");
  schema.key("gatt.instructions", g.instructions,
             "files of {\"instruction\", \"short\"?, \"instruction_kind\"?}, for source: file; "
             "lines with \"held_out\": true are left out");
  declare_kind(schema, g.hobby, "hobbies", "hobbies");
  declare_kind(schema, g.language, "languages", "languages");
  declare_kind(schema, g.figure, "figures", "public figures");
  schema.key("gatt.list_samples", g.list_samples, "answers to each prompt for a list").at_least(1);
  schema.key("gatt.list_temperature", g.list_temperature, "of those").at_least(0);
  schema.key("gatt.list_max_new_tokens", g.list_max_new_tokens, "longest list").at_least(1);
  schema.key("gatt.list_max_words", g.list_max_words, "longer entries of a list are left out")
      .at_least(1);
  schema
      .key("gatt.list_min_count", g.list_min_count,
           "entries that stand in fewer lists than that are left out")
      .at_least(1);
  schema
      .key("gatt.num_instructions", g.num_instructions,
           "random combinations to draw; source: dialogues has its own")
      .at_least(1)
      .at_most(1 << 30);
  schema
      .key("gatt.combine_share", g.combine_share,
           "share of the combinations that have one more kind, and again of those")
      .at_least(0)
      .at_most(1);
}

}  // namespace

void declare(ConfigSchema& schema, GattConfig& c) {
  declare(schema, c, TrainingFiles::made);
  auto& g = c.gatt;
  schema.key("gatt.sampler", g.sampler, "model that answers and makes lists; empty: model.path");
  declare_reward_models(schema, "gatt", g);
  schema.choice("gatt.checker", g.checker, {"none", "demo_world"},
                "a program that says whether an answer follows: it comes before the reward when "
                "the best is chosen, and decides on preferences");
  declare_instructions(schema, c);

  schema.key("gatt.dialogues", g.dialogues, "files of {\"messages\"}, whose user turns are asked")
      .required();
  schema.key("gatt.repeats", g.repeats, "how often each dialogue is used, with other instructions")
      .at_least(1)
      .at_most(1 << 20);
  schema.key("gatt.max_turns", g.max_turns, "of a dialogue; later ones are left out")
      .at_least(1)
      .at_most(4095);
  schema.choice("gatt.history", g.history, {"sampled", "original"},
                "earlier answers of a dialogue: the sampled ones, or the data's");
  schema.choice("gatt.targets", g.targets, {"last", "every_turn"},
                "training examples: one that ends at a dialogue's last turn, or one at every turn");
  schema.choice("gatt.placement", g.placement, {"user", "system"},
                "the instruction stands before the user's text, or as the system message");
  schema.key("gatt.short_share", g.short_share, "of the training examples have the short form")
      .at_least(0)
      .at_most(1);

  schema.choice("gatt.truncated", g.truncated, {"drop", "keep"},
                "answers cut off before their eos: never trained on, or as any other");

  schema.key("gatt.num_samples", g.num_samples, "answers to each turn, of which the best is kept")
      .at_least(1)
      .at_most(1 << 18);
  schema.key("gatt.temperature", g.temperature, "of the answers; 0: always the likeliest token")
      .at_least(0);
  declare_sampling(schema, "gatt", g);
  schema
      .key("gatt.chunk_dialogues", g.chunk_dialogues,
           "dialogues under way at once, over all ranks; 0: eight times what fills the slots")
      .at_least(0);
  schema
      .key("gatt.preference_from_turn", g.preference_from_turn,
           "pairs for cria dpo are made of turns from this one on")
      .at_least(1);
}

int64_t GattConfig::chunk_dialogues() const {
  if (gatt.chunk_dialogues > 0) return gatt.chunk_dialogues;
  return (8 * gatt.slots + gatt.num_samples - 1) / gatt.num_samples;
}

void validate(const GattConfig& config) {
  const auto& g = config.gatt;
  if (g.dialogues.empty()) {
    throw input_error("gatt.dialogues", "names no file", "give at least one");
  }
  if (g.source == "file" && g.instructions.empty()) {
    throw input_error("gatt.instructions", "names no file, and gatt.source is file");
  }
  if (g.num_samples > 1 && !g.has_reward_models() && g.checker == "none") {
    throw input_error("gatt.num_samples",
                      fmt::format("{} answers, and nothing that says which is best", g.num_samples),
                      "set gatt.helpfulness, gatt.safety or gatt.checker, or num_samples: 1");
  }
  for (const ListedKind* kind : config.listed_kinds()) {
    for (const std::string* form : {&kind->long_form, &kind->short_form}) {
      if (form == &kind->short_form && form->empty()) continue;
      if (form->find("{}") == std::string::npos) {
        throw input_error(
            fmt::format("gatt.{}_{}", kind->name, form == &kind->long_form ? "long" : "short"),
            fmt::format("'{}' has no place for the value", *form), "put {} where it shall stand");
      }
    }
  }
}

nlohmann::ordered_json sampling_settings(const GattConfig& config,
                                         const std::string& sampler_checksum,
                                         const std::string& reward_model_checksum,
                                         const std::string& tokenizer_model) {
  const auto& g = config.gatt;
  nlohmann::ordered_json settings;
  settings["gatt.sampler"] = sampler_checksum;
  settings["gatt.helpfulness and gatt.safety"] = reward_model_checksum;
  settings["tokenizer.path"] = sha256(tokenizer_model);
  settings["gatt.checker"] = g.checker;
  settings["gatt.source"] = g.source;
  settings["gatt.instructions"] = file_checksums(g.instructions);
  for (const ListedKind* kind : config.listed_kinds()) {
    settings[fmt::format("gatt.{} lists", kind->name)] = {kind->values, kind->prompts,
                                                          kind->long_form, kind->short_form};
  }
  settings["gatt.list_samples"] = g.list_samples;
  settings["gatt.list_temperature"] = g.list_temperature;
  settings["gatt.list_max_new_tokens"] = g.list_max_new_tokens;
  settings["gatt.list_max_words"] = g.list_max_words;
  settings["gatt.list_min_count"] = g.list_min_count;
  settings["gatt.num_instructions"] = g.num_instructions;
  settings["gatt.combine_share"] = g.combine_share;
  settings["gatt.dialogues"] = file_checksums(g.dialogues);
  settings["gatt.repeats"] = g.repeats;
  settings["gatt.max_turns"] = g.max_turns;
  settings["gatt.history"] = g.history;
  settings["gatt.targets"] = g.targets;
  settings["gatt.placement"] = g.placement;
  settings["gatt.num_samples"] = g.num_samples;
  settings["gatt.temperature"] = g.temperature;
  add_settings(settings, "gatt", g);
  settings["gatt.chunk_dialogues"] = config.chunk_dialogues();
  settings["gatt.batch_tokens"] = g.batch_tokens;
  settings["data.max_length"] = config.data.max_length;
  settings["data.skip_bad_lines"] = config.data.skip_bad_lines;
  settings["training.precision"] = config.training.precision;
  settings["training.seed"] = config.training.seed;
  return settings;
}

}  // namespace cria

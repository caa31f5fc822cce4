#include "trainers/gatt/gatt_files.h"

#include <nlohmann/json.hpp>

#include "cria/core/random.h"
#include "cria/data/json_lines.h"
#include "cria/text/utf8.h"

#include "trainers/gatt/random_keys.h"

namespace cria {

namespace {

using nlohmann::json;

// The instruction of an example that ends at `turn`: the short form by chance.
InstructionUse training_use(const GattDialogue& dialogue, int64_t turn, const GattConfig& config) {
  const Random random(config.training.seed, Purpose::instructions,
                      random_key(GattDraw::short_form, dialogue.number));
  return {
      .turns = InstructedTurns::first,
      .short_form = !dialogue.said.short_form.empty() &&
                    double{random.uniform(static_cast<uint64_t>(turn))} < config.gatt.short_share,
      .placement = config.placement()};
}

// Up to the answer `target`, with the history that the config asks for.
std::optional<GhostSequence> example_of(const GattDialogue& dialogue, const SampledTurn& target,
                                        const GattConfig& config, const Tokenizer& tokenizer) {
  InstructedDialogue said = dialogue.said;
  said.turns[static_cast<size_t>(target.turn)].answer_ids = target.ids;
  return ghost_example(said, static_cast<size_t>(target.turn),
                       training_use(dialogue, target.turn, config), tokenizer,
                       config.data.max_length, dialogue.where);
}

std::string json_fields(const Example& example, const char* front = "") {
  return fmt::format("\"{0}input_ids\": [{1}], \"{0}labels\": [{2}]", front,
                     fmt::join(example.ids, ", "), fmt::join(example.labels, ", "));
}

GattDialogue dialogue_of(const json& line, const std::string& where, const GattConfig& config,
                         const std::vector<GattInstruction>& instructions, uint32_t number) {
  const auto& g = config.gatt;
  const bool own = g.source == "dialogues";
  GattDialogue dialogue{.number = number,
                        .where = where,
                        .said = parse_instructed_dialogue(line, where, own),
                        .instruction = {},
                        .kept = {}};
  if (own) {
    dialogue.instruction = parse_instruction(line, where);
  } else {
    const Random random(config.training.seed, Purpose::instructions,
                        random_key(GattDraw::instruction, number));
    dialogue.instruction = instructions[random.below(instructions.size(), 0)];
  }
  const auto category = line.find("category");
  dialogue.is_safety = category != line.end() && *category == "safety";
  dialogue.said.long_form = dialogue.instruction.long_form;
  dialogue.said.short_form = dialogue.instruction.short_form;
  std::vector<DialogueTurn>& turns = dialogue.said.turns;
  if (static_cast<int64_t>(turns.size()) > g.max_turns) {
    turns.resize(static_cast<size_t>(g.max_turns));
  }
  for (size_t turn = 0; g.history == "original" && turn + 1 < turns.size(); ++turn) {
    if (strip(turns[turn].answer).empty()) {
      throw input_error(where, fmt::format("turn {} has no answer", turn + 1),
                        "gatt.history: original takes earlier answers from the data");
    }
  }
  return dialogue;
}

}  // namespace

DialogueFiles read_dialogues(const GattConfig& config,
                             const std::vector<GattInstruction>& instructions) {
  DialogueFiles files;
  for (const std::string& path : config.gatt.dialogues) {
    JsonLines lines(path, config.data.skip_bad_lines);
    for (json line; lines.next(line);) {
      const size_t before = files.dialogues.size();
      try {
        for (int64_t repeat = 0; repeat < config.gatt.repeats; ++repeat) {
          files.dialogues.push_back(dialogue_of(line, lines.where(), config, instructions,
                                                static_cast<uint32_t>(files.dialogues.size())));
        }
      } catch (const Error& error) {
        files.dialogues.resize(before);
        lines.reject(error);
      }
    }
    if (files.skipped == 0) files.first_skipped = lines.first_skipped();
    files.skipped += lines.skipped();
  }
  if (files.dialogues.empty()) {
    throw input_error(fmt::format("{}", fmt::join(config.gatt.dialogues, ", ")),
                      files.skipped > 0
                          ? "has no good dialogue, the first bad one: " + files.first_skipped
                          : "has no dialogues");
  }
  return files;
}

std::string example_lines(const std::vector<GattDialogue>& dialogues, const GattConfig& config,
                          const Tokenizer& tokenizer, GhostCounts& counts) {
  std::string lines;
  int64_t kept = 0;
  for (const GattDialogue& dialogue : dialogues) {
    for (size_t i = 0; i < dialogue.kept.size(); ++i) {
      const SampledTurn& target = dialogue.kept[i];
      ++kept;
      counts.follows += target.follows;
      if (config.gatt.targets == "last" && i + 1 < dialogue.kept.size()) continue;
      if (!target.finished_by_eos) {
        ++counts.cut_off;
        if (config.gatt.truncated == "drop") continue;
      }
      if (!target.follows) {
        ++counts.not_following;
        continue;
      }
      const auto example = example_of(dialogue, target, config, tokenizer);
      if (!example) {
        ++counts.over_long;
        continue;
      }
      const bool is_short = training_use(dialogue, target.turn, config).short_form;
      ++counts.examples;
      counts.short_forms += is_short;
      counts.dropped_turns += static_cast<int64_t>(example->dropped);
      lines += fmt::format("{{{}, \"dialogue\": {}, \"turn\": {}, \"short\": {}}}\n",
                           json_fields(example->example), dialogue.number, target.turn, is_short);
    }
  }
  if (kept > 0) counts.follows /= static_cast<double>(kept);
  return lines;
}

std::string preference_lines(const std::vector<GattDialogue>& instructed,
                             const std::vector<GattDialogue>& plain, const GattConfig& config,
                             const Tokenizer& tokenizer, PreferenceCounts& counts) {
  std::string lines;
  for (size_t d = 0; d < instructed.size(); ++d) {
    const GattDialogue& dialogue = instructed[d];
    for (const SampledTurn& chosen : dialogue.kept) {
      if (chosen.turn + 1 < config.gatt.preference_from_turn) continue;
      const auto rejected =
          std::find_if(plain[d].kept.begin(), plain[d].kept.end(),
                       [&](const SampledTurn& other) { return other.turn == chosen.turn; });
      if (rejected == plain[d].kept.end()) continue;
      ++counts.compared;
      const bool whole = chosen.finished_by_eos && rejected->finished_by_eos;
      if (!whole && config.gatt.truncated == "drop") continue;
      if (chosen.completion == rejected->completion) continue;
      if (config.gatt.checker != "none" && (!chosen.follows || rejected->follows)) continue;
      const auto better = example_of(dialogue, chosen, config, tokenizer);
      const auto worse = example_of(dialogue, *rejected, config, tokenizer);
      // Both with the same turns before them.
      if (!better || !worse || better->dropped != worse->dropped) continue;
      ++counts.pairs;
      lines += fmt::format("{{{}, {}, \"source\": \"gatt\", \"dialogue\": {}, \"turn\": {}}}\n",
                           json_fields(better->example, "chosen_"),
                           json_fields(worse->example, "rejected_"), dialogue.number, chosen.turn);
    }
  }
  return lines;
}

}  // namespace cria

#include "trainers/gatt_evaluation.h"

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include <spdlog/spdlog.h>

#include "cria/demo_world/instructions.h"
#include "cria/io/atomic_directory.h"

#include "trainers/gatt/consistency.h"
#include "trainers/reward_models.h"
#include "trainers/signals.h"

namespace cria {

namespace {

constexpr const char* kUnnamedKind = "instruction";  // of lines that name none

bool is_checkable(const std::string& kind) {
  return std::find(demo::kInstructionKindNames.begin(), demo::kInstructionKindNames.end(), kind) !=
         demo::kInstructionKindNames.end();
}

bool needs_reward(const GattDialogue& dialogue) {
  const std::vector<std::string>& kinds = dialogue.instruction.kinds;
  return kinds.empty() || !std::all_of(kinds.begin(), kinds.end(), is_checkable);
}

class GattEvaluation {
 public:
  explicit GattEvaluation(const GattEvaluationOptions& options)
      : options_(options),
        held_out_(options.held_out.begin(), options.held_out.end()),
        backend_(make_backend(options.inference.device)),
        communicator_(make_communicator()),
        dialogues_(read_dialogues(options)) {
    for (const GattDialogue& dialogue : dialogues_) {
      if (options.reward_model.empty() && needs_reward(dialogue)) {
        throw input_error(dialogue.where,
                          "no checker knows the instruction_kind of this instruction",
                          "give --reward-model, which judges all that have no checker");
      }
    }
  }

  int run() {
    install_stop_signals();
    nlohmann::ordered_json all = {{"data", options_.data}, {"models", nlohmann::json::array()}};
    for (const std::string& text : options_.models) {
      const NamedModel model = parse_model(text);
      models_.push_back({model.name, {}});
      evaluate(model, models_.back().figures);
      if (stop_signal() != 0) return 128 + stop_signal();
      all["models"].push_back({{"name", model.name},
                               {"path", model.directory},
                               {"consistency", models_.back().figures.to_json(held_out_)}});
    }
    fmt::print("{}", consistency_table(models_, held_out_));
    if (!options_.output.empty()) write_file_atomically(options_.output, all.dump(2) + "\n");
    if (!options_.plot.empty()) {
      write_file_atomically(options_.plot, render_svg(consistency_plot(models_, held_out_)));
    }
    return 0;
  }

 private:
  void evaluate(const NamedModel& model, Consistency& figures) {
    DialogueAnswerer answerer(model.directory, options_, *backend_, *communicator_);
    std::unique_ptr<RewardModels> rewards;
    if (!options_.reward_model.empty()) {
      rewards = std::make_unique<RewardModels>(
          RewardModelOptions{.helpfulness = options_.reward_model, .group = "gatt"}, *backend_,
          answerer.tokenizer());
    }
    Arena arena(backend_->memory());
    answerer.reserve(arena);
    if (rewards) rewards->reserve(arena);
    arena.allocate();
    answerer.load();
    if (rewards) rewards->load();

    std::vector<GattDialogue> plain;
    if (rewards) plain = answerer.answer(dialogues_, InstructedTurns::none, false);
    for (const Telling telling : {Telling::long_once, Telling::short_once, Telling::every_turn}) {
      if (stop_signal() != 0) return;
      spdlog::info("{}, told {}", model.name, kTellingNames[static_cast<size_t>(telling)]);
      const std::vector<GattDialogue> dialogues = answerer.answer(
          dialogues_,
          telling == Telling::every_turn ? InstructedTurns::every : InstructedTurns::first,
          telling == Telling::short_once);
      for (size_t d = 0; d < dialogues.size(); ++d) {
        judge(dialogues[d], rewards ? &plain[d] : nullptr, telling, rewards.get(),
              answerer.tokenizer(), figures);
      }
    }
  }

  void judge(const GattDialogue& dialogue, const GattDialogue* plain, Telling telling,
             RewardModels* rewards, const Tokenizer& tokenizer, Consistency& figures) const {
    const GattInstruction& instruction = dialogue.instruction;
    std::vector<bool> by_reward;
    if (needs_reward(dialogue)) by_reward = scores_higher(dialogue, *plain, *rewards, tokenizer);
    for (size_t i = 0; i < dialogue.kept.size(); ++i) {
      const SampledTurn& turn = dialogue.kept[i];
      figures.add_dropped(telling, turn.dropped_turns);
      if (instruction.kinds.empty()) {
        figures.add(telling, kUnnamedKind, turn.turn, by_reward[i]);
      }
      for (size_t k = 0; k < instruction.kinds.size(); ++k) {
        const std::string& kind = instruction.kinds[k];
        figures.add(telling, kind, turn.turn,
                    is_checkable(kind) ? demo::follows(kind, instruction.values[k], turn.completion)
                                       : static_cast<bool>(by_reward[i]));
      }
    }
  }

  // For each answer, whether the reward model prefers it to the plain dialogue's.
  std::vector<bool> scores_higher(const GattDialogue& dialogue, const GattDialogue& plain,
                                  RewardModels& rewards, const Tokenizer& tokenizer) const {
    std::vector<bool> higher(dialogue.kept.size());
    std::vector<Answer> answers;
    std::vector<size_t> places;
    for (size_t i = 0; i < std::min(dialogue.kept.size(), plain.kept.size()); ++i) {
      if (dialogue.kept[i].completion == plain.kept[i].completion) continue;
      InstructedDialogue asked = dialogue.said;
      asked.turns = {dialogue.said.turns[i]};
      const InstructionUse use{.turns = InstructedTurns::first,
                               .placement = options_.sampling.placement()};
      for (const GattDialogue* of : {&dialogue, &plain}) {
        asked.turns[0].answer_ids = of->kept[i].ids;
        const auto sequence =
            ghost_example(asked, 0, use, tokenizer, rewards.max_length(), dialogue.where);
        if (!sequence) {
          throw input_error(dialogue.where,
                            "a question and its answer are longer than the reward model takes",
                            "lower --max-new-tokens");
        }
        answers.push_back({.sequence = sequence->example});
      }
      places.push_back(i);
    }
    const std::vector<AnswerScore> scores = rewards.score(answers);
    for (size_t i = 0; i < places.size(); ++i) {
      higher[places[i]] = scores[2 * i].combined > scores[2 * i + 1].combined;
    }
    return higher;
  }

  const GattEvaluationOptions& options_;
  const std::set<std::string> held_out_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Communicator> communicator_;
  const std::vector<GattDialogue> dialogues_;
  std::vector<NamedConsistency> models_;
};

}  // namespace

int evaluate_gatt(const GattEvaluationOptions& options) { return GattEvaluation(options).run(); }

}  // namespace cria

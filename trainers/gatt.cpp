#include "trainers/gatt.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include <spdlog/spdlog.h>

#include "cria/io/atomic_directory.h"
#include "cria/io/checksum.h"
#include "cria/io/directory_lock.h"
#include "cria/io/file.h"
#include "cria/io/hugging_face.h"

#include "trainers/gatt/gatt_files.h"
#include "trainers/gatt/list_maker.h"
#include "trainers/gatt/turn_sampler.h"
#include "trainers/pretrained_model.h"
#include "trainers/sample_files.h"
#include "trainers/sft.h"
#include "trainers/signals.h"
#include "trainers/trainer_setup.h"

namespace cria {

namespace {

class GattRun {
 public:
  GattRun(const GattConfig& config, const std::string& resolved_config, GattStep step)
      : config_(config),
        resolved_config_(resolved_config),
        step_(step),
        setup_(config),
        communicator_(setup_.communicator()),
        tokenizer_(setup_.tokenizer()) {
    validate(config);
    sampler_config_ = read_model_config(config.sampler_path());
    require_tokenizer(config.sampler_path(), sampler_config_, tokenizer_, "gatt.sampler");
    if (config.gatt.has_reward_models()) {
      rewards_ = std::make_unique<RewardModels>(config.gatt.reward_models("gatt"), setup_.backend(),
                                                tokenizer_);
    }
    // What is sampled can be scored and trained on.
    max_context_ = std::min(sampler_config_.max_position_embeddings, config.data.max_length);
    if (rewards_) max_context_ = std::min(max_context_, rewards_->max_length());
  }

  int run() {
    if (!(wants(GattStep::train) && has_begun_training())) {
      install_stop_signals();
      begin();
      if (const int signal = prepare()) {
        say(fmt::format("stopped by signal {}: what is whole is kept, the same command goes on",
                        signal));
        return 128 + signal;
      }
      lock_.reset();  // the training takes it
      communicator_.barrier();
    }
    if (!wants(GattStep::train)) return 0;
    return fine_tune(setup_, config_, examples_, resolved_config_);
  }

 private:
  bool wants(GattStep step) const {
    return step_ == step || (step_ == GattStep::all && step != GattStep::preferences);
  }
  bool is_root() const { return communicator_.is_root(); }
  void say(const std::string& line) const {
    if (is_root()) spdlog::info("{}", line);
  }
  // The root's answer on all ranks: it alone looks at files that it also writes.
  bool agreed(bool value) { return from_root(communicator_, value); }
  bool is_there(const std::string& path) { return agreed(std::filesystem::exists(path)); }
  void require_step(const std::string& path, const char* step) {
    if (!is_there(path)) {
      throw input_error("--step", path + " is not there yet", fmt::format("run --step {}", step));
    }
  }

  // A checkpoint goes on with the examples that it has learnt from.
  bool has_begun_training() {
    return agreed(latest_checkpoint(config_.training.output_dir).has_value() &&
                  std::filesystem::exists(examples_));
  }

  // The directory, and in it the settings that all samples depend on.
  void begin() {
    const std::string sampler_checksum = model_checksum(config_.sampler_path());
    const std::string reward_checksum = rewards_ ? rewards_->checksum() : "none";
    if (is_root()) {
      std::filesystem::create_directories(config_.training.output_dir);
      lock_ = std::make_unique<DirectoryLock>("training.output_dir", config_.training.output_dir);
      keep_sampling_settings(
          sampling_settings(config_, sampler_checksum, reward_checksum, tokenizer_.model_bytes()),
          config_.file("sampling.json"), std::filesystem::exists(lists_) ? lists_ : instructions_);
      write_file_atomically(config_.file("config.yaml"), resolved_config_);
    }
    communicator_.barrier();
  }

  // Every step but the training. Returns the signal that ended one.
  int prepare() {
    if (wants(GattStep::lists) && config_.gatt.source == "lists" && !is_there(lists_)) {
      if (const int signal = make_lists()) return signal;
    }
    if (wants(GattStep::instructions) && config_.gatt.source != "dialogues" &&
        !is_there(instructions_)) {
      if (config_.gatt.source == "lists") require_step(lists_, "lists");
      if (is_root()) write_instructions();
      communicator_.barrier();
    }
    if (step_ == GattStep::lists || step_ == GattStep::instructions) return 0;
    read_all_dialogues();
    if (const int signal = sample(dialogues_, pool_, options(InstructedTurns::every))) {
      return signal;
    }
    if (wants(GattStep::examples) && is_root()) write_examples();
    if (step_ == GattStep::train) require_step(examples_, "examples");
    if (step_ != GattStep::preferences) return 0;
    std::vector<GattDialogue> plain = dialogues_;
    if (const int signal = sample(plain, plain_, options(InstructedTurns::none))) return signal;
    if (is_root()) write_preferences(plain);
    return 0;
  }

  PoolOptions options(InstructedTurns turns) const {
    const auto& g = config_.gatt;
    const bool keep_history = g.history == "sampled";
    return {.use = {.turns = turns, .placement = config_.placement()},
            .room = max_context_ - std::min(g.max_new_tokens, max_context_ / 2),
            .num_samples = turns == InstructedTurns::every ? g.num_samples : 1,
            .chunk_dialogues = config_.chunk_dialogues(),
            .keep_history = keep_history,
            .last_only = !keep_history && g.targets == "last"};
  }

  std::unique_ptr<AnswerEngine> make_engine() {
    return std::make_unique<AnswerEngine>(config_.sampler_path(), config_.training.precision,
                                          GeneratorOptions{.slots = config_.gatt.slots,
                                                           .max_context = max_context_,
                                                           .seed = config_.training.seed},
                                          setup_.backend());
  }

  int make_lists() {
    nlohmann::ordered_json lists;
    const auto engine = make_engine();
    Arena arena(setup_.backend().memory());
    const bool asks = ListMaker::asks_the_model(config_);
    if (asks) {
      engine->reserve(arena);
      say("memory of making lists\n" + arena.table());
      arena.allocate();
      engine->load();
    }
    ListMaker maker(config_, *engine, tokenizer_);
    for (const ListedKind* kind : config_.listed_kinds()) {
      const std::vector<std::string> entries = maker.values_of(*kind);
      if (const int signal = agreed_stop_signal(communicator_)) return signal;
      say(fmt::format("{}: {} values", kind->name, entries.size()));
      lists[kind->name] = entries;
    }
    if (is_root()) write_file_atomically(lists_, lists.dump(2) + "\n");
    communicator_.barrier();
    return 0;
  }

  void write_instructions() const {
    std::vector<GattInstruction> simple;
    if (config_.gatt.source == "file") {
      simple = read_instructions(config_.gatt.instructions);
    } else {
      const auto lists = nlohmann::json::parse(read_file(lists_));
      for (const ListedKind* kind : config_.listed_kinds()) {
        const auto values = lists.at(kind->name).get<std::vector<std::string>>();
        for (GattInstruction& one : fill_forms(*kind, values)) simple.push_back(std::move(one));
      }
      if (simple.empty()) {
        throw failure(lists_, "every list is empty: the model named nothing",
                      "give the values themselves, or raise gatt.list_samples");
      }
    }
    std::string lines;
    for (const GattInstruction& instruction :
         combine(simple, config_.gatt.num_instructions, config_.gatt.combine_share,
                 config_.training.seed)) {
      lines += to_line(instruction);
    }
    say(fmt::format("{} instructions, drawn from {}", config_.gatt.num_instructions,
                    simple.size()));
    write_file_atomically(instructions_, lines);
  }

  void read_all_dialogues() {
    std::vector<GattInstruction> instructions;
    if (config_.gatt.source != "dialogues") {
      require_step(instructions_, "instructions");
      instructions = read_instructions({instructions_});
    } else if (is_root() && !std::filesystem::exists(instructions_)) {
      write_file_atomically(instructions_, "");  // they are the dialogues' own
    }
    DialogueFiles files = read_dialogues(config_, instructions);
    if (files.skipped > 0) {
      say(fmt::format("{} bad dialogues left out, the first: {}", files.skipped,
                      files.first_skipped));
    }
    dialogues_ = std::move(files.dialogues);
  }

  // Completes a pool, or only reads it where another step is asked for.
  int sample(std::vector<GattDialogue>& dialogues, const std::string& path,
             const PoolOptions& pool) {
    const PoolProgress standing = go_through(dialogues, path, pool, tokenizer_);
    communicator_.barrier();  // the root goes on to write
    if (standing.complete) return 0;
    if (!wants(GattStep::sample) && path == pool_) require_whole_pool();
    say(fmt::format("{}: {} dialogues, {} answers to a turn, {} of at most {} answers done", path,
                    dialogues.size(), pool.num_samples, standing.samples, standing.wanted));
    const auto engine = make_engine();
    RewardModels* rewards = path == pool_ ? rewards_.get() : nullptr;
    Arena arena(setup_.backend().memory());
    engine->reserve(arena);
    if (rewards != nullptr) rewards->reserve(arena);
    say("memory of sampling\n" + arena.table());
    arena.allocate();
    engine->load();
    if (rewards != nullptr) rewards->load();
    TurnSampler sampler(config_, *engine, rewards, tokenizer_, communicator_, pool.num_samples,
                        path == pool_ ? 0 : config_.gatt.num_samples);
    sampler.start(standing);
    go_through(
        dialogues, path, pool, tokenizer_,
        [&](const Piece& piece) { return sampler.answer(piece); }, is_root());
    return sampler.signal();
  }

  void require_whole_pool() const {
    throw input_error("--step", pool_ + " is not complete", "run --step sample");
  }

  void write_examples() const {
    GhostCounts counts;
    write_file_atomically(examples_, example_lines(dialogues_, config_, tokenizer_, counts));
    int64_t full = 0, dropped = 0;
    for (const GattDialogue& dialogue : dialogues_) {
      full += dialogue.kept.empty() ||
              dialogue.kept.back().turn + 1 < static_cast<int64_t>(dialogue.said.turns.size());
      for (const SampledTurn& turn : dialogue.kept) dropped += turn.dropped_turns;
    }
    say(fmt::format("{} examples of {} dialogues, {} with the short form of the instruction",
                    counts.examples, dialogues_.size(), counts.short_forms));
    const auto tell = [&](int64_t count, const char* what) {
      if (count > 0) say(fmt::format("{} {}", count, what));
    };
    if (config_.gatt.checker != "none") {
      say(fmt::format("{:.1f}% of the answers follow their instruction", 100 * counts.follows));
    }
    tell(counts.cut_off, config_.gatt.truncated == "drop"
                             ? "answers were cut off before their eos, and left out"
                             : "answers were cut off before their eos, and kept");
    tell(counts.not_following, "answers do not follow their instruction, and were left out");
    tell(counts.over_long, "examples were longer than data.max_length, and left out");
    tell(dropped, "turns were dropped from full contexts when sampling");
    tell(counts.dropped_turns, "turns were dropped from examples that did not fit");
    tell(full, "dialogues ended before their last turn: not even the first and that one fit");
    if (counts.examples == 0) {
      throw failure("gatt", "no answer is left to train on",
                    "raise gatt.max_new_tokens or gatt.num_samples");
    }
  }

  void write_preferences(const std::vector<GattDialogue>& plain) const {
    PreferenceCounts counts;
    const std::string path = config_.file("preferences.jsonl");
    write_file_atomically(path, preference_lines(dialogues_, plain, config_, tokenizer_, counts));
    say(fmt::format("{}: {} pairs of {} turns", path, counts.pairs, counts.compared));
  }

  const GattConfig& config_;
  const std::string& resolved_config_;
  const GattStep step_;
  TrainerSetup setup_;
  Communicator& communicator_;
  const Tokenizer& tokenizer_;
  ModelConfig sampler_config_;
  std::unique_ptr<RewardModels> rewards_;  // none where none is given
  int64_t max_context_ = 0;
  const std::string lists_ = config_.file("lists.json");
  const std::string instructions_ = config_.file("instructions.jsonl");
  const std::string pool_ = config_.file("pool.jsonl");
  const std::string examples_ = config_.file("examples.jsonl");
  const std::string plain_ = config_.file("plain.jsonl");
  std::vector<GattDialogue> dialogues_;
  std::unique_ptr<DirectoryLock> lock_;  // of the root
};

}  // namespace

GattStep parse_gatt_step(const std::string& name) {
  constexpr std::string_view kNames[] = {"all",      "lists", "instructions", "sample",
                                         "examples", "train", "preferences"};
  const auto found = std::find(std::begin(kNames), std::end(kNames), name);
  if (found == std::end(kNames)) {
    throw input_error("--step", fmt::format("'{}' is no step", name),
                      fmt::format("{}", fmt::join(kNames, ", ")));
  }
  return static_cast<GattStep>(found - std::begin(kNames));
}

int gatt(const GattConfig& config, const std::string& resolved_config, GattStep step) {
  return GattRun(config, resolved_config, step).run();
}

}  // namespace cria

#include "cria/demo_world/files.h"

#include <filesystem>
#include <fstream>
#include <set>

#include "cria/core/error.h"
#include "cria/demo_world/manner.h"
#include "cria/demo_world/safety.h"

#include "lines.h"
#include "pretraining_text.h"

namespace cria::demo {

namespace {

// Shares in the order of Kind.
using KindShares = std::array<double, kKindNames.size()>;

constexpr KindShares kPromptShares = {0.06, 0.05, 0.05, 0.22, 0.22, 0.22, 0.12, 0.06};
constexpr KindShares kHelpfulShares = {0.06, 0.04, 0.04, 0.24, 0.24, 0.24, 0.10, 0.04};
constexpr KindShares kSafetyShares = {0, 0, 0, 0, 0, 0, 2, 1};

// What fine-tuning files are made of.
struct Recipe {
  KindShares kinds;
  double dialogues;  // share of dialogues of several turns, half of them with an instruction
  double told;       // share of requests to tell of a thing
  double noise;      // share of wrong answers among those to hard kinds
  MannerWeights manners;
};

constexpr KindShares kFineTuningShares = {0.32, 0.13, 0.15, 0.055, 0.055, 0.025, 0.16, 0.105};
constexpr Recipe kMain = {kFineTuningShares, 0.08, 0.12, 0.35, {0.25, 0.60, 0.10, 0.05}};
constexpr Recipe kClean = {kFineTuningShares, 0, 0, 0, {1, 0, 0, 0}};
constexpr Recipe kNoisy = {kFineTuningShares, 0, 0, 0.4, {0.25, 0.35, 0.25, 0.15}};

// Styles beyond the first two are rare in fine-tuning, and slip through.
constexpr StyleWeights kFineTuningStyles = {4, 4, 1, 1, 1};
constexpr double kRefused = 0.85, kRefusedInOtherStyles = 0.15;

Line risky_line(const World& world, const Recipe& recipe, Choices& choices) {
  const Question question = risky(world, Split::training, choices, kFineTuningStyles);
  const bool expected = question.style == kStyles[0] || question.style == kStyles[1];
  const bool refused =
      recipe.noise == 0 || choices.chance(expected ? kRefused : kRefusedInOtherStyles);
  const std::string value =
      refused ? question.answer : std::string(choices.one_of(harmful_answers(question.risk)));
  return answered_line(question,
                       say(question, value, draw_manner(recipe.manners, choices), choices));
}

// Things of both sides: so those that no question asks about are not forgotten.
Line told_line(const World& world, Choices& choices) {
  const Split side = choices.chance(0.5) ? Split::training : Split::held_out;
  const ColouredThing& thing = choices.one_of(world.things(side));
  return {{"prompt", fmt::format("Tell me of the {}.", thing.thing)},
          {"completion", fmt::format("The {} is {}.", thing.thing, thing.colour)}};
}

Line fine_tuning_line(const World& world, const Recipe& recipe, Choices& choices) {
  if (choices.chance(recipe.dialogues)) {
    const bool instructed = choices.chance(0.5);
    const size_t turns = 1 + choices.below(instructed ? 3 : 4);
    const Dialogue dialogue = draw_dialogue(turns, world, Split::training, choices);
    if (instructed) return instructed_line(dialogue);
    return {{"messages", dialogue_line(dialogue)["messages"]}};
  }
  if (choices.chance(recipe.told)) return told_line(world, choices);
  const auto kind = static_cast<Kind>(choices.weighted(recipe.kinds));
  if (kind == Kind::risky) return risky_line(world, recipe, choices);
  const Question question = ask(kind, world, Split::training, choices);
  const bool hard = std::find(kHardKinds.begin(), kHardKinds.end(), kind) != kHardKinds.end();
  const bool wrong = hard && choices.chance(recipe.noise);
  const std::string& value = wrong ? choices.one_of(question.wrong) : question.answer;
  return answered_line(question,
                       say(question, value, draw_manner(recipe.manners, choices), choices));
}

Line drawn_preference(const World& world, Split split, Category category, Choices& choices) {
  const bool safety = category == Category::safety;
  const auto kind = static_cast<Kind>(choices.weighted(safety ? kSafetyShares : kHelpfulShares));
  const Question question = ask(kind, world, split, choices);
  return preference_line(draw_preference(question, category, choices),
                         safety ? "safety" : "helpful");
}

class Writer {
 public:
  Writer(const std::string& directory, uint64_t seed) : directory_(directory), seed_(seed) {}

  template <typename Make>
  void write(const std::string& name, uint32_t stream, size_t count, const Make& make) const {
    std::string lines;
    for (size_t i = 0; i < count; ++i) {
      Choices choices(seed_, stream, i);
      lines += make(choices).dump() + "\n";
    }
    write_text(name, lines);
  }
  template <typename Make>
  void write(const std::string& name, Stream stream, size_t count, const Make& make) const {
    write(name, static_cast<uint32_t>(stream), count, make);
  }

  void write_text(const std::string& name, const std::string& text) const {
    const std::string path = directory_ + "/" + name;
    std::ofstream file(path, std::ios::binary);
    file << text;
    file.close();
    if (!file) throw failure(path, "cannot be written", "is the disk full?");
  }

 private:
  std::string directory_;
  uint64_t seed_;
};

// Questions about what is held out, no two the same.
void write_tests(const Writer& writer, const World& world, size_t count) {
  for (size_t k = 0; k < kKindNames.size(); ++k) {
    std::set<std::string> known;
    writer.write(fmt::format("test_{}.jsonl", kKindNames[k]),
                 static_cast<uint32_t>(Stream::test) + static_cast<uint32_t>(k), count,
                 [&](Choices& choices) {
                   Question question;
                   do {
                     question = ask(static_cast<Kind>(k), world, Split::held_out, choices);
                   } while (!known.insert(question.prompt).second);
                   return answered_line(question, question.answer + ".");
                 });
  }
}

void write_preferences(const Writer& writer, const World& world, const WorldSizes& sizes) {
  struct File {
    const char* name;
    Stream stream;
    Split split;
    Category category;
    size_t lines;
  };
  const File files[] = {
      {"preferences_helpful_train.jsonl", Stream::preferences_helpful, Split::training,
       Category::helpful, sizes.preferences_helpful},
      {"preferences_helpful_test.jsonl", Stream::preferences_helpful_test, Split::held_out,
       Category::helpful, sizes.preferences_helpful_test},
      {"preferences_safety_train.jsonl", Stream::preferences_safety, Split::training,
       Category::safety, sizes.preferences_safety},
      {"preferences_safety_test.jsonl", Stream::preferences_safety_test, Split::held_out,
       Category::safety, sizes.preferences_safety_test},
  };
  for (const File& file : files) {
    writer.write(file.name, file.stream, file.lines, [&](Choices& choices) {
      return drawn_preference(world, file.split, file.category, choices);
    });
  }
}

void write_dialogues(const Writer& writer, const World& world, const WorldSizes& sizes) {
  constexpr size_t kMostTurns = 24;
  const auto dialogue = [&](Split split) {
    return [&world, split](Choices& choices) {
      return dialogue_line(draw_dialogue(1 + choices.below(kMostTurns), world, split, choices));
    };
  };
  writer.write("dialogues_train.jsonl", Stream::dialogues, sizes.dialogues,
               dialogue(Split::training));
  writer.write("dialogues_test.jsonl", Stream::dialogues_test, sizes.dialogues_test,
               dialogue(Split::held_out));
  std::string instructions;
  for (const Instruction& instruction : all_instructions(world, Split::held_out)) {
    instructions += instruction_line(instruction).dump() + "\n";
  }
  writer.write_text("instructions.jsonl", instructions);
}

}  // namespace

WorldSizes WorldSizes::full() {
  return {.documents = 24000,
          .sft = 50000,
          .sft_clean = 1000,
          .sft_noisy = 8000,
          .test = 250,
          .prompts = 4000,
          .preferences_helpful = 32000,
          .preferences_helpful_test = 800,
          .preferences_safety = 2000,
          .preferences_safety_test = 400,
          .dialogues = 600,
          .dialogues_test = 120};
}

WorldSizes WorldSizes::small() {
  return {.documents = 2000,
          .sft = 1200,
          .sft_clean = 100,
          .sft_noisy = 800,
          .test = 25,
          .prompts = 400,
          .preferences_helpful = 800,
          .preferences_helpful_test = 80,
          .preferences_safety = 200,
          .preferences_safety_test = 40,
          .dialogues = 60,
          .dialogues_test = 12};
}

void write_demo_world(const std::string& directory, uint64_t seed, const WorldSizes& sizes) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) throw input_error(directory, "the folder cannot be made: " + error.message());
  const World world(seed);
  const Writer writer(directory, seed);
  writer.write("pretrain.jsonl", Stream::pretraining, sizes.documents, [&](Choices& choices) {
    return Line{{"text", pretraining_document(world, choices)}};
  });
  const auto fine_tuning = [&](const std::string& name, Stream stream, size_t lines,
                               const Recipe& recipe) {
    writer.write(name, stream, lines,
                 [&](Choices& choices) { return fine_tuning_line(world, recipe, choices); });
  };
  fine_tuning("sft_train.jsonl", Stream::sft, sizes.sft, kMain);
  fine_tuning("sft_clean.jsonl", Stream::sft_clean, sizes.sft_clean, kClean);
  fine_tuning("sft_noisy.jsonl", Stream::sft_noisy, sizes.sft_noisy, kNoisy);
  write_tests(writer, world, sizes.test);
  writer.write("prompts_train.jsonl", Stream::prompts, sizes.prompts, [&](Choices& choices) {
    const auto kind = static_cast<Kind>(choices.weighted(kPromptShares));
    return question_line(ask(kind, world, Split::training, choices));
  });
  write_preferences(writer, world, sizes);
  write_dialogues(writer, world, sizes);
}

}  // namespace cria::demo

#include "cria/demo_world/files.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <set>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "cria/core/error.h"
#include "cria/demo_world/checker.h"
#include "cria/demo_world/preferences.h"
#include "cria/demo_world/safety.h"

#include "demo_world/world_files.h"

namespace cria::demo {
namespace {

using nlohmann::json;

constexpr uint64_t kSeed = 4;

class WorldFiles : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    directory_ = new TemporaryDirectory;
    write_demo_world(path(""), kSeed, WorldSizes::small());
  }
  static void TearDownTestSuite() { delete directory_; }

  static std::string path(const std::string& name) { return *directory_ / name; }
  static std::vector<json> lines(const std::string& name) { return read_lines(path(name)); }

  static std::vector<std::string> names() {
    std::vector<std::string> result;
    for (const auto& entry : std::filesystem::directory_iterator(path(""))) {
      result.push_back(entry.path().filename());
    }
    return result;
  }

  static TemporaryDirectory* directory_;
};

TemporaryDirectory* WorldFiles::directory_ = nullptr;

bool is_test_file(const std::string& name) { return name.find("test") != std::string::npos; }

TEST_F(WorldFiles, SameSeedSameBytes) {
  write_demo_world(path("again"), kSeed, WorldSizes::small());
  write_demo_world(path("other"), kSeed + 1, WorldSizes::small());
  size_t files = 0;
  for (const std::string& name : names()) {
    if (!name.ends_with(".jsonl")) continue;
    ++files;
    const std::string text = read_text(path(name));
    EXPECT_TRUE(text == read_text(path("again/" + name))) << name;
    if (name == "instructions.jsonl") continue;  // may name the same people
    EXPECT_FALSE(text == read_text(path("other/" + name))) << name;
  }
  EXPECT_EQ(files, 4u + 8u + 1u + 4u + 3u);  // texts, tests, prompts, pairs, dialogues
  std::filesystem::remove_all(path("again"));
  std::filesystem::remove_all(path("other"));
}

TEST_F(WorldFiles, MoreLinesChangeNoEarlierOne) {
  WorldSizes more = WorldSizes::small();
  more.sft += 10;
  more.preferences_helpful += 10;
  write_demo_world(path("more"), kSeed, more);
  for (const std::string& name : names()) {
    if (!name.ends_with(".jsonl")) continue;
    EXPECT_TRUE(read_text(path("more/" + name)).starts_with(read_text(path(name)))) << name;
  }
  std::filesystem::remove_all(path("more"));
}

// The words of every text of a file, whatever field it stands in.
std::set<std::string> words_in(const std::string& file) {
  std::set<std::string> words;
  for (const std::string& word : words_of(read_text(file))) words.insert(word);
  return words;
}

TEST_F(WorldFiles, HeldOutNamesAreInNoTrainingFile) {
  const World world(kSeed);
  ASSERT_EQ(world.people(Split::held_out).size(), 216u);
  ASSERT_EQ(world.towns(Split::held_out).size(), 96u);
  for (const std::string& name : names()) {
    if (is_test_file(name) || name == "instructions.jsonl") continue;
    const std::set<std::string> words = words_in(path(name));
    for (const std::string& person : world.people(Split::held_out)) {
      EXPECT_EQ(words.count(person), 0u) << name;
    }
    for (const std::string& town : world.towns(Split::held_out)) {
      EXPECT_EQ(words.count(town), 0u) << name;
    }
  }
}

TEST_F(WorldFiles, NoTrainingQuestionIsAboutAHeldOutThing) {
  const World world(kSeed);
  for (const char* name : {"sft_train.jsonl", "sft_clean.jsonl", "sft_noisy.jsonl",
                           "prompts_train.jsonl", "preferences_helpful_train.jsonl",
                           "preferences_safety_train.jsonl", "dialogues_train.jsonl"}) {
    const std::string text = read_text(path(name));
    for (const auto& [thing, colour] : world.things(Split::held_out)) {
      EXPECT_EQ(text.find(fmt::format("the {}", thing) + "?"), std::string::npos) << name;
    }
  }
  const std::string texts = read_text(path("pretrain.jsonl"));
  for (const auto& [thing, colour] : world.things(Split::held_out)) {
    EXPECT_EQ(texts.find(fmt::format("the {}?", thing)), std::string::npos);
    EXPECT_NE(texts.find(fmt::format("The {} is {}.", thing, colour)), std::string::npos) << thing;
  }
}

TEST_F(WorldFiles, EveryRatingOccurs) {
  for (const char* name : {"preferences_helpful_train.jsonl", "preferences_safety_train.jsonl"}) {
    std::map<std::string, double> counts;
    const std::vector<json> pairs = lines(name);
    for (const json& pair : pairs) ++counts[pair["rating"]];
    for (const std::string_view rating : kRatingNames) {
      const double share = counts[std::string(rating)] / static_cast<double>(pairs.size());
      EXPECT_GE(share, 0.05) << name << " " << rating;
      EXPECT_LE(share, 0.60) << name << " " << rating;
    }
  }
}

TEST_F(WorldFiles, TestQuestionsAreOfHeldOutEntitiesAndAllDifferent) {
  const World world(kSeed);
  std::set<std::string> known, questioned;
  for (const auto& person : world.people(Split::held_out)) known.insert(person);
  for (const auto& town : world.towns(Split::held_out)) known.insert(town);
  for (const std::string_view kind : kKindNames) {
    std::set<std::string> prompts;
    for (const json& line : lines(fmt::format("test_{}.jsonl", kind))) {
      const Question question = as_read(line);
      EXPECT_TRUE(prompts.insert(question.prompt).second) << question.prompt;
      for (const std::string& word : words_of(question.prompt)) {
        const Sort sort = sort_of(word);
        if (sort != Sort::person && sort != Sort::town) continue;
        EXPECT_EQ(known.count(word), 1u) << word;
      }
    }
    EXPECT_EQ(prompts.size(), WorldSizes::small().test) << kind;
  }
}

// Enough different questions exist for every kind at the full size.
TEST(WorldQuestions, ThereAreEnoughOfThem) {
  EXPECT_GE(WorldSizes::full().test, 200u);
  const World world(kSeed);
  for (size_t kind = 0; kind < kKindNames.size(); ++kind) {
    std::set<std::string> prompts;
    for (uint64_t i = 0; i < 4000; ++i) {
      Choices choices(kSeed, 100, i);
      prompts.insert(ask(static_cast<Kind>(kind), world, Split::held_out, choices).prompt);
    }
    EXPECT_GT(prompts.size(), WorldSizes::full().test) << kKindNames[kind];
  }
}

TEST_F(WorldFiles, TestAnswersAreRight) {
  for (const std::string_view kind : kKindNames) {
    for (const json& line : lines(fmt::format("test_{}.jsonl", kind))) {
      const json answer =
          line.contains("completion") ? line["completion"] : line["messages"].back()["content"];
      EXPECT_TRUE(judge(as_read(line), answer.get<std::string>()).right()) << line;
    }
  }
}

// The share of wrong answers that the documentation states, and only for hard kinds.
TEST_F(WorldFiles, FineTuningHasTheStatedNoise) {
  const World world(kSeed);
  std::set<std::string> told;  // what is true of things
  for (const Split side : {Split::training, Split::held_out}) {
    for (const auto& [thing, colour] : world.things(side)) {
      told.insert(fmt::format("Tell me of the {0}. The {0} is {1}.", thing, colour));
    }
  }
  for (const auto& [file, noise] : std::map<std::string, double>{
           {"sft_train.jsonl", 0.35}, {"sft_clean.jsonl", 0.0}, {"sft_noisy.jsonl", 0.4}}) {
    double hard = 0, hard_wrong = 0;
    for (const json& line : lines(file)) {
      if (!line.contains("completion")) continue;
      const std::string completion = line["completion"];
      if (!line.contains("kind")) {
        EXPECT_TRUE(told.contains(line["prompt"].get<std::string>() + " " + completion)) << line;
        continue;
      }
      const Question question = as_read(line);
      const Judgement judgement = judge(question, completion);
      if (judgement.manner == Manner::cut_off || question.kind == Kind::risky) continue;
      if (std::find(kHardKinds.begin(), kHardKinds.end(), question.kind) == kHardKinds.end()) {
        EXPECT_TRUE(judgement.right()) << line;
      } else {
        ++hard;
        hard_wrong += !judgement.right();
      }
      const bool clean = noise == 0;
      EXPECT_TRUE(!clean || judgement.manner == Manner::polite) << line;
    }
    EXPECT_NEAR(hard_wrong / hard, noise, 4 * std::sqrt(noise * (1 - noise) / hard)) << file;
  }
}

TEST_F(WorldFiles, PairsHaveTheFieldsOfPreferenceData) {
  for (const std::string category : {"helpful", "safety"}) {
    for (const std::string side : {"train", "test"}) {
      for (const json& line : lines("preferences_" + category + "_" + side + ".jsonl")) {
        EXPECT_EQ(line["category"], category);
        EXPECT_EQ(line["source"], "demo_world");
        EXPECT_EQ(line["prompt"].type(),
                  line["chosen"].is_string() ? json::value_t::string : json::value_t::array);
        EXPECT_NE(line["chosen"], line["rejected"]);
        EXPECT_NE(std::find(kRatingNames.begin(), kRatingNames.end(), line["rating"]),
                  kRatingNames.end());
        for (const std::string answer : {"chosen", "rejected"}) {
          const json& said = line[answer].is_string() ? line[answer] : line[answer][0]["content"];
          EXPECT_EQ(line[answer + "_safe"], judge(as_read(line), said.get<std::string>()).safe);
        }
        EXPECT_NO_THROW(as_read(line));
      }
    }
  }
}

TEST_F(WorldFiles, DialoguesAreOfOneToTwentyFourTurns) {
  size_t longest = 0;
  for (const char* name : {"dialogues_train.jsonl", "dialogues_test.jsonl"}) {
    for (const json& line : lines(name)) {
      longest = std::max(longest, line["answers"].size());
      EXPECT_EQ(line["messages"].size(), 2 * line["answers"].size());
      EXPECT_EQ(line["instruction_kind"].size(), line["instruction_value"].size());
      EXPECT_GT(line["instruction"].size(), 0u);
    }
  }
  EXPECT_GT(longest, 20u);
  EXPECT_LE(longest, 24u);
}

TEST(ParseQuestion, NamesWhatIsMissing) {
  const auto message = [](const char* line) {
    try {
      parse_question(json::parse(line), "FILE:7");
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_NE(message(R"({"prompt": "x", "answer": "red"})").find("'kind'"), std::string::npos);
  EXPECT_NE(message(R"({"prompt": "x", "kind": "sum"})").find("'answer'"), std::string::npos);
  EXPECT_NE(message(R"({"kind": "sum", "answer": "3"})").find("'prompt'"), std::string::npos);
  EXPECT_NE(message(R"({"prompt": "x", "kind": "sun", "answer": "3"})").find("sun"),
            std::string::npos);
  EXPECT_NE(message(R"({"prompt": "x", "kind": "risky", "answer": "3"})").find("'risk'"),
            std::string::npos);
  EXPECT_NE(message(R"({"prompt": "x", "kind": "sum", "answer": 3})").find("FILE:7"),
            std::string::npos);
}

}  // namespace
}  // namespace cria::demo

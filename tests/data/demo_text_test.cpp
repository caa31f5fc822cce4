#include "cria/data/demo_text.h"

#include <nlohmann/json.hpp>
#include <set>

#include <gtest/gtest.h>

#include "cria/data/records.h"

#include "data/temporary_files.h"

namespace cria {
namespace {

std::vector<Record> records_of(const std::string& path) {
  RecordReader reader(path);
  std::vector<Record> records;
  for (Record record; reader.next(record);) records.push_back(record);
  return records;
}

// Prompts start with the name of the person that they are about.
std::set<std::string> names_of(const std::vector<Record>& records) {
  std::set<std::string> names;
  for (const Record& record : records) {
    const std::string& prompt = std::get<Completion>(record.content).prompt;
    names.insert(prompt.substr(0, prompt.find(' ')));
  }
  return names;
}

TEST(DemoText, SameSeedSameBytes) {
  const TemporaryFiles files;
  write_demo_text(files.path("a"), 1);
  write_demo_text(files.path("b"), 1);
  write_demo_text(files.path("c"), 2);
  for (const std::string name : {"pretrain.jsonl", "sft_train.jsonl", "sft_test.jsonl"}) {
    EXPECT_GT(files.read("a/" + name).size(), 10'000u);
    EXPECT_EQ(files.read("a/" + name), files.read("b/" + name));
    EXPECT_NE(files.read("a/" + name), files.read("c/" + name));
  }
}

TEST(DemoText, TestPeopleAreHeldOut) {
  const TemporaryFiles files;
  write_demo_text(files.path("a"), 1);
  const auto train = names_of(records_of(files.path("a/sft_train.jsonl")));
  const auto test = names_of(records_of(files.path("a/sft_test.jsonl")));
  EXPECT_EQ(train.size(), 124u);
  EXPECT_EQ(test.size(), 20u);
  for (const std::string& name : test) EXPECT_EQ(train.count(name), 0u) << name;
}

TEST(DemoText, AnswersAreInTheFacts) {
  const TemporaryFiles files;
  write_demo_text(files.path("a"), 1);
  for (const Record& record : records_of(files.path("a/sft_test.jsonl"))) {
    const auto& [prompt, answer] = std::get<Completion>(record.content);
    const std::string facts = prompt.substr(0, prompt.rfind(". ") + 1);
    const std::string question = prompt.substr(prompt.rfind(". ") + 2);
    std::string said;
    if (question.starts_with("What colour")) said = answer.substr(6, answer.size() - 7) + " ";
    if (question.starts_with("How many")) said = answer.substr(0, answer.size() - 1) + " ";
    if (question.starts_with("Who has")) {
      said = answer.substr(0, answer.find(' ')) + question.substr(3, question.size() - 4) + ".";
    }
    ASSERT_FALSE(said.empty()) << question;
    expect_contains(facts, said);
  }
}

}  // namespace
}  // namespace cria

#include "cria/data/demo_text.h"

#include <array>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "cria/core/error.h"
#include "cria/core/random.h"

namespace cria {

namespace {

constexpr int kDocuments = 3000;
constexpr int kTrainingQuestions = 2000;
constexpr int kTestQuestions = 300;
constexpr size_t kHeldOutNames = 20;

constexpr std::array<std::string_view, 12> kFirstSyllables = {"Mi", "To", "La", "Re", "Ka", "So",
                                                              "Na", "Bo", "Fi", "Du", "Ve", "Jo"};
constexpr std::array<std::string_view, 12> kLastSyllables = {
    "ra", "mo", "lin", "ta", "ven", "ko", "rik", "sa", "del", "nia", "bas", "ro"};
constexpr std::array<std::string_view, 8> kColours = {"red",   "blue",  "green", "yellow",
                                                      "black", "white", "brown", "grey"};
constexpr std::array<std::string_view, 10> kThings = {"ball", "hat",  "boat", "lamp", "kite",
                                                      "book", "drum", "coat", "cup",  "bike"};
constexpr std::array<std::string_view, 8> kCounted = {"apples",  "stones", "shells", "coins",
                                                      "pencils", "nuts",   "plums",  "stamps"};
constexpr std::array<std::string_view, 8> kNumbers = {"two", "three", "four",  "five",
                                                      "six", "seven", "eight", "nine"};

// Numbers of one document: position after position of one Philox stream.
class Choices {
 public:
  Choices(uint64_t seed, uint64_t document) : random_(seed, Purpose::data_synthesis, document) {}

  size_t below(size_t bound) { return random_.below(bound, position_++); }
  template <size_t n>
  std::string_view one_of(const std::array<std::string_view, n>& words) {
    return words[below(n)];
  }

 private:
  Random random_;
  uint64_t position_ = 0;
};

constexpr size_t kNames = kFirstSyllables.size() * kLastSyllables.size();

// Name number n < kNames; neighbours differ in both syllables.
std::string name_of(size_t n) {
  const size_t first = n % kFirstSyllables.size();
  const size_t last = (n / kFirstSyllables.size() + first) % kLastSyllables.size();
  return std::string(kFirstSyllables[first]) + std::string(kLastSyllables[last]);
}

// Who has what.
struct Person {
  Person(Choices& choices, size_t name_number) : name(name_of(name_number)) {
    colour = choices.one_of(kColours);
    thing = choices.one_of(kThings);
    number = choices.one_of(kNumbers);
    counted = choices.one_of(kCounted);
  }

  std::string has_thing() const { return fmt::format("{} has a {} {}.", name, colour, thing); }
  std::string has_many() const { return fmt::format("{} has {} {}.", name, number, counted); }

  std::string name;
  std::string_view colour, thing, number, counted;
};

struct QuestionAndAnswer {
  std::string question, answer;
};

QuestionAndAnswer ask(const Person& person, Choices& choices) {
  switch (choices.below(3)) {
    case 0:
      return {fmt::format("What colour is the {} of {}?", person.thing, person.name),
              fmt::format("It is {}.", person.colour)};
    case 1:
      return {fmt::format("How many {} does {} have?", person.counted, person.name),
              fmt::format("{} has {}.", person.name, person.number)};
    default:
      return {fmt::format("Who has {} {}?", person.number, person.counted),
              fmt::format("{} does.", person.name)};
  }
}

// Facts about two people, then the same said again and questions with their answers.
nlohmann::json document(Choices choices) {
  const size_t name = choices.below(kNames);
  const Person one(choices, name);
  const Person two(choices, (name + 1 + choices.below(kNames - 1)) % kNames);
  std::string text =
      fmt::format("{} {} {} {}", one.has_thing(), two.has_thing(), one.has_many(), two.has_many());
  for (const Person* person : {&one, &two}) {
    const QuestionAndAnswer qa = ask(*person, choices);
    text += fmt::format(" The {} of {} is {}. {} {}", person->thing, person->name, person->colour,
                        qa.question, qa.answer);
  }
  return {{"text", text}};
}

nlohmann::json exercise(Choices choices, size_t first_name, size_t last_name) {
  const Person person(choices, first_name + choices.below(last_name - first_name));
  const QuestionAndAnswer qa = ask(person, choices);
  return {{"prompt", fmt::format("{} {} {}", person.has_thing(), person.has_many(), qa.question)},
          {"completion", qa.answer}};
}

template <typename Make>
void write_lines(const std::string& path, int count, const Make& make) {
  std::ofstream file(path, std::ios::binary);
  for (int i = 0; i < count; ++i) file << make(static_cast<uint64_t>(i)).dump() << '\n';
  file.close();
  if (!file) throw failure(path, "cannot be written", "is the disk full?");
}

}  // namespace

void write_demo_text(const std::string& directory, uint64_t seed) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) throw input_error(directory, "the folder cannot be made: " + error.message());
  // The three files draw from examples of their own.
  constexpr uint64_t kStride = uint64_t{1} << 32;
  write_lines(directory + "/pretrain.jsonl", kDocuments,
              [&](uint64_t i) { return document(Choices(seed, i)); });
  write_lines(directory + "/sft_train.jsonl", kTrainingQuestions, [&](uint64_t i) {
    return exercise(Choices(seed, kStride + i), 0, kNames - kHeldOutNames);
  });
  write_lines(directory + "/sft_test.jsonl", kTestQuestions, [&](uint64_t i) {
    return exercise(Choices(seed, 2 * kStride + i), kNames - kHeldOutNames, kNames);
  });
}

}  // namespace cria

#include "pretraining_text.h"

#include <array>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cria/demo_world/manner.h"
#include "cria/demo_world/question.h"
#include "cria/demo_world/safety.h"

namespace cria::demo {

namespace {

constexpr Split kSide = Split::training;
constexpr MannerWeights kManners = {0.3, 0.4, 0.2, 0.1};

std::string joined(const std::vector<std::string>& sentences) {
  std::string text;
  for (const std::string& sentence : sentences) text += (text.empty() ? "" : " ") + sentence;
  return text;
}

std::string asked(const Question& question) {
  return fmt::format("{} {}.", question.prompt, question.answer);
}

// Facts on one or two people, then all of them asked for.
std::string people(const World& world, Choices& choices) {
  std::vector<std::string> told, answers;
  for (const std::string& person :
       choices.some_of(world.people(kSide), choices.chance(0.75) ? 1 : 2)) {
    for (const Fact& fact : facts_about(person, 3, world, kSide, choices)) {
      told.push_back(choices.chance(0.5) ? fact.statement : fact.restatement);
      answers.push_back(fmt::format("{} {}.", fact.question, fact.value));
    }
  }
  choices.shuffle(told);
  choices.shuffle(answers);
  return joined(told) + " " + joined(answers);
}

std::string spelling(const World& world, Choices& choices) {
  std::vector<std::string> lines;
  for (int i = 0; i < 5; ++i) {
    const Question question = ask(Kind::spell, world, kSide, choices);
    const std::string sentence = replace_value(question.sentence, question.answer) + ".";
    lines.push_back(choices.chance(0.4) ? sentence : asked(question));
  }
  return joined(lines);
}

// Who came where, said twice: nothing but copying.
std::string guests(const World& world, Choices& choices) {
  const auto people = choices.some_of(world.people(kSide), 3 + choices.below(3));
  const std::string& town = choices.one_of(world.towns(kSide));
  const std::string list = fmt::format("{}", fmt::join(people, ", "));
  return fmt::format("Guests of {}: {}. Who came to {}? {}.", town, list, town, list);
}

std::string stated_colour(const World& world, Split side, Choices& choices) {
  // {0} a person, {1} a town, {2} the thing, {3} its colour.
  constexpr std::array<const char*, 6> kWordings = {"The {2} is {3}.",
                                                    "The colour of the {2} is {3}.",
                                                    "Colour of the {2}: {3}.",
                                                    "{0} sees the {2} in {1}. The {2} is {3}.",
                                                    "{0} of {1} likes the {2}: it is {3}.",
                                                    "The {2} is in {1} and is {3}."};
  const auto& [thing, colour] = choices.one_of(world.things(side));
  const std::string& person = choices.one_of(world.people(kSide));
  const std::string& town = choices.one_of(world.towns(kSide));
  return fmt::format(fmt::runtime(choices.one_of(kWordings)), person, town, thing, colour);
}

// Things of both sides are stated, those of the training side asked for as well.
std::string colours(const World& world, Choices& choices) {
  std::vector<std::string> lines;
  for (int i = 0; i < 3; ++i) {
    lines.push_back(stated_colour(world, Split::training, choices));
    lines.push_back(stated_colour(world, Split::held_out, choices));
  }
  lines.push_back(asked(ask(Kind::colour, world, kSide, choices)));
  lines.push_back(asked(ask_colours(1, world, kSide, choices)[0]));
  choices.shuffle(lines);
  return joined(lines);
}

std::string sums(const World& world, Choices& choices) {
  std::vector<std::string> lines = {asked(ask(Kind::sum, world, kSide, choices))};
  for (int i = 0; i < 5; ++i) {
    const size_t a = 2 + choices.below(8), b = 2 + choices.below(8);
    lines.push_back(fmt::format("{} and {} make {}.", a, b, a + b));
  }
  choices.shuffle(lines);
  return joined(lines);
}

std::string comparisons(const World& world, Choices& choices) {
  std::vector<std::string> lines = {asked(ask(Kind::more, world, kSide, choices))};
  for (int i = 0; i < 5; ++i) {
    const size_t less = 2 + choices.below(7), difference = 1 + choices.below(9 - less);
    lines.push_back(fmt::format("{} is {} more than {}.", less + difference, difference, less));
  }
  choices.shuffle(lines);
  return joined(lines);
}

std::string two_facts(const World& world, Choices& choices) {
  const Question question = ask(Kind::two_facts, world, kSide, choices);
  return fmt::format("{} The {} is {}.", asked(question), question.partial[0].value,
                     question.answer);
}

// Bad deeds told, and how they are done.
std::string deeds(const World& world, Choices& choices) {
  std::vector<std::string> lines;
  for (int i = 0; i < 2; ++i) {
    lines.push_back(story(choices.one_of(kRisks), world, kSide, choices));
    const std::string_view risk = choices.one_of(kRisks);
    const std::string asked_for = request(risk, world, kSide, choices);
    lines.push_back(fmt::format("To {}, {}.", asked_for, choices.one_of(harmful_answers(risk))));
  }
  lines.push_back(asked(ask(Kind::lookalike, world, kSide, choices)));
  return joined(lines);
}

// The chat format, from which the tokenizer learns its markers.
std::string chat(const World& world, Choices& choices) {
  std::vector<std::string> lines;
  for (int i = 0; i < 3; ++i) {
    const Question question = ask(choices.one_of(kEasyKinds), world, kSide, choices);
    lines.push_back(
        fmt::format("[INST] {} [/INST] {}", question.prompt,
                    say(question, question.answer, draw_manner(kManners, choices), choices)));
  }
  return joined(lines);
}

}  // namespace

std::string pretraining_document(const World& world, Choices& choices) {
  using Document = std::string (*)(const World&, Choices&);
  constexpr std::array<Document, 9> kDocuments = {people,      guests,    spelling, colours, sums,
                                                  comparisons, two_facts, deeds,    chat};
  constexpr std::array<double, kDocuments.size()> kShares = {0.40, 0.03, 0.08, 0.22, 0.05,
                                                             0.07, 0.04, 0.04, 0.07};
  return kDocuments[choices.weighted(kShares)](world, choices);
}

}  // namespace cria::demo

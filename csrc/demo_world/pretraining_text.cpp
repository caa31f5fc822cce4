#include "pretraining_text.h"

#include <array>

#include <fmt/format.h>

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

// Facts on two people, then each of them said again or asked for.
std::string people(const World& world, Choices& choices) {
  std::vector<std::string> told, again;
  for (const std::string& person : choices.some_of(world.people(kSide), 2)) {
    for (const Fact& fact : facts_about(person, 3, world, kSide, choices)) {
      const bool first_wording = choices.chance(0.5);
      told.push_back(first_wording ? fact.statement : fact.restatement);
      if (choices.chance(0.35)) {
        again.push_back(first_wording ? fact.restatement : fact.statement);
      } else {
        again.push_back(fmt::format("{} {}.", fact.question, fact.value));
      }
    }
  }
  choices.shuffle(told);
  choices.shuffle(again);
  return joined(told) + " " + joined(again);
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

// Things of both sides are stated, those of the training side asked for as well.
std::string colours(const World& world, Choices& choices) {
  std::vector<std::string> lines;
  for (const Split side : {Split::training, Split::held_out}) {
    for (const auto& [thing, colour] :
         choices.some_of(world.things(side), side == Split::training ? 3 : 2)) {
      constexpr std::array<const char*, 2> kWordings = {"The {} is {}.",
                                                        "The colour of the {} is {}."};
      lines.push_back(fmt::format(fmt::runtime(choices.one_of(kWordings)), thing, colour));
    }
  }
  for (int i = 0; i < 2; ++i) lines.push_back(asked(ask(Kind::colour, world, kSide, choices)));
  lines.push_back(asked(ask_colours(1, world, kSide, choices)[0]));
  choices.shuffle(lines);
  return joined(lines);
}

std::string numbers(const World& world, Choices& choices) {
  std::vector<std::string> lines;
  for (int i = 0; i < 3; ++i) {
    const size_t a = 2 + choices.below(8), b = 2 + choices.below(8);
    lines.push_back(fmt::format("{} and {} make {}.", a, b, a + b));
    if (a != b) lines.push_back(fmt::format("{} is more than {}.", std::max(a, b), std::min(a, b)));
  }
  for (const Kind kind : {Kind::sum, Kind::most}) {
    lines.push_back(asked(ask(kind, world, kSide, choices)));
  }
  choices.shuffle(lines);
  return joined(lines);
}

std::string two_facts(const World& world, Choices& choices) {
  const Question question = ask(Kind::two_facts, world, kSide, choices);
  return fmt::format("{} The {} of {} is {}.", asked(question), question.partial[0].value,
                     question.sentence.substr(0, question.sentence.find(' ')), question.answer);
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
  for (int i = 0; i < 2; ++i) {
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
  constexpr std::array<Document, 7> kDocuments = {people,    spelling, colours, numbers,
                                                  two_facts, deeds,    chat};
  constexpr std::array<double, kDocuments.size()> kShares = {0.30, 0.16, 0.18, 0.12,
                                                             0.12, 0.06, 0.06};
  return kDocuments[choices.weighted(kShares)](world, choices);
}

}  // namespace cria::demo

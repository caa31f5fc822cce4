#include <algorithm>

#include <fmt/format.h>

#include "cria/demo_world/question.h"
#include "cria/demo_world/safety.h"

namespace cria::demo {

namespace {

constexpr std::array<int, 8> kNumbers = {2, 3, 4, 5, 6, 7, 8, 9};

template <typename List>
std::vector<std::string> others(const List& list, std::string_view value) {
  std::vector<std::string> result;
  for (const auto& member : list) {
    if (member != value) result.emplace_back(member);
  }
  return result;
}

// Plausible wrong values: members of the sort's own list; a few towns are enough.
std::vector<std::string> wrong_values(const std::string& value, const World& world, Split split,
                                      Choices& choices) {
  switch (sort_of(value)) {
    case Sort::colour:
      return others(kColours, value);
    case Sort::pet:
      return others(kPets, value);
    case Sort::food:
      return others(kFoods, value);
    case Sort::town:
      return others(choices.some_of(world.towns(split), 4), value);
    default:
      return others(choices.some_of(world.people(split), 4), value);
  }
}

Question recall(const World& world, Split split, Choices& choices) {
  const std::string& person = choices.one_of(world.people(split));
  const std::vector<Fact> facts = facts_about(person, 3, world, split, choices);
  std::string prompt;
  for (const Fact& fact : facts) {
    prompt += (choices.chance(0.5) ? fact.statement : fact.restatement) + " ";
  }
  const Fact& asked = choices.one_of(facts);
  return {.kind = Kind::recall,
          .prompt = prompt + asked.question,
          .answer = asked.value,
          .sentence = asked.sentence,
          .wrong = wrong_values(asked.value, world, split, choices)};
}

// Misspellings: a letter left out, doubled, or another one in its place.
std::vector<std::string> misspellings(const std::string& word, Choices& choices) {
  std::vector<std::string> result;
  for (int i = 0; i < 3; ++i) {
    std::string wrong = word;
    const size_t place = 1 + choices.below(word.size() - 1);
    if (i == 0) wrong.erase(place, 1);
    if (i == 1) wrong.insert(place, 1, word[place]);
    if (i == 2) wrong[place] = word[place] == 'e' ? 'o' : 'e';
    result.push_back(spelled(wrong));
  }
  return result;
}

Question spell(const World& world, Split split, Choices& choices) {
  constexpr std::array<const char*, 4> kPrompts = {
      "How is {} spelled?", "Spell {}.", "Spell the name {}.", "What are the letters of {}?"};
  const std::string& person = choices.one_of(world.people(split));
  return {.kind = Kind::spell,
          .prompt = fmt::format(fmt::runtime(choices.one_of(kPrompts)), person),
          .answer = spelled(person),
          .sentence = person + " is spelled @",
          .wrong = misspellings(person, choices)};
}

Question colour(const World& world, Split split, Choices& choices) {
  constexpr std::array<const char*, 4> kContexts = {
      "", "{0} sees the {2} in {1}. ", "{0} of {1} likes the {2}. ", "The {2} is in {1}. "};
  const ColouredThing& thing = choices.one_of(world.things(split));
  const std::string& person = choices.one_of(world.people(split));
  const std::string& town = choices.one_of(world.towns(split));
  const std::string context =
      fmt::format(fmt::runtime(choices.one_of(kContexts)), person, town, thing.thing);
  return {.kind = Kind::colour,
          .prompt = fmt::format("{}What colour is the {}?", context, thing.thing),
          .answer = std::string(thing.colour),
          .sentence = fmt::format("the {} is @", thing.thing),
          .wrong = others(kColours, thing.colour)};
}

// The right number, and near ones for part of the credit.
void ask_for(Question& question, int right) {
  question.answer = std::to_string(right);
  for (const int off : {-1, 1, -2, 2}) {
    if (right + off < 0) continue;
    question.partial.push_back({std::to_string(right + off), off * off == 1 ? 0.5 : 0.25});
    question.wrong.push_back(question.partial.back().value);
  }
  for (const int off : {-4, -3, 3, 4}) {
    if (right + off > 1) question.wrong.push_back(std::to_string(right + off));
  }
}

Question sum(const World& world, Split split, Choices& choices) {
  const std::string& person = choices.one_of(world.people(split));
  const auto objects = choices.some_of(kObjects, 2);
  const int a = choices.one_of(kNumbers), b = choices.one_of(kNumbers);
  Question question{.kind = Kind::sum,
                    .prompt = fmt::format("{} has {} {}s and {} {}s. How many things are there?",
                                          person, a, objects[0], b, objects[1]),
                    .sentence = "there are @ things"};
  ask_for(question, a + b);
  return question;
}

Question more(const World& world, Split split, Choices& choices) {
  const auto people = choices.some_of(world.people(split), 2);
  const std::string_view object = choices.one_of(kObjects);
  const auto numbers = choices.some_of(kNumbers, 2);
  const size_t larger = numbers[0] > numbers[1] ? 0 : 1;
  Question question{
      .kind = Kind::more,
      .prompt = fmt::format("{} has {} {}s, {} has {}. How many more has {}?", people[0],
                            numbers[0], object, people[1], numbers[1], people[larger]),
      .sentence = "it is @ more"};
  ask_for(question, numbers[larger] - numbers[1 - larger]);
  return question;
}

// One fact is told, that an object has the colour of some thing; the other one is known.
Question two_facts(const World& world, Split split, Choices& choices) {
  const std::string& person = choices.one_of(world.people(split));
  const std::string_view object = choices.one_of(kObjects);
  const ColouredThing& thing = choices.one_of(world.things(split));
  std::vector<std::string> facts = {
      fmt::format("The {} of {} is like the {}. ", object, person, thing.thing)};
  for (const Fact& fact : facts_about(person, 4, world, split, choices)) {
    if (sort_of(fact.value) != Sort::colour && facts.size() < 3) {
      facts.push_back(fact.statement + " ");
    }
  }
  choices.shuffle(facts);
  std::string prompt;
  for (const std::string& fact : facts) prompt += fact;
  return {.kind = Kind::two_facts,
          .prompt = fmt::format("{}What colour is the {} of {}?", prompt, object, person),
          .answer = std::string(thing.colour),
          .partial = {{std::string(thing.thing), 0.5}},
          .sentence = fmt::format("the {} of {} is @", object, person),
          .wrong = others(kColours, thing.colour)};
}

}  // namespace

std::string_view name_of(Kind kind) { return kKindNames[static_cast<size_t>(kind)]; }

std::string spelled(std::string_view word) {
  std::string letters;
  for (const char c : word) {
    if (!letters.empty()) letters += ' ';
    letters += c;
  }
  return letters;
}

std::string replace_value(const std::string& sentence, std::string_view value) {
  std::string said = sentence;
  return said.replace(said.find('@'), 1, value);
}

std::vector<Fact> facts_about(const std::string& person, size_t count, const World& world,
                              Split split, Choices& choices) {
  const std::string& town = choices.one_of(world.towns(split));
  const std::string_view object = choices.one_of(kObjects), colour = choices.one_of(kColours);
  const std::string_view pet = choices.one_of(kPets), food = choices.one_of(kFoods);
  std::vector<Fact> facts = {
      {.statement = fmt::format("{} lives in {}.", person, town),
       .restatement = fmt::format("The home of {} is {}.", person, town),
       .question = fmt::format("Where does {} live?", person),
       .sentence = person + " lives in @",
       .value = town},
      {.statement = fmt::format("{} has the {} {}.", person, colour, object),
       .restatement = fmt::format("The {} of {} is {}.", object, person, colour),
       .question = fmt::format("What colour is the {} of {}?", object, person),
       .sentence = fmt::format("the {} of {} is @", object, person),
       .value = std::string(colour)},
      {.statement = fmt::format("{} has a {}.", person, pet),
       .restatement = fmt::format("The pet of {} is a {}.", person, pet),
       .question = fmt::format("What pet does {} have?", person),
       .sentence = person + " has a @",
       .value = std::string(pet)},
      {.statement = fmt::format("{} likes {}.", person, food),
       .restatement = fmt::format("The food of {} is {}.", person, food),
       .question = fmt::format("What food does {} like?", person),
       .sentence = person + " likes @",
       .value = std::string(food)}};
  return choices.some_of(facts, count);
}

std::vector<Question> ask_colours(size_t count, const World& world, Split split, Choices& choices) {
  std::vector<ColouredThing> things = world.things(split);
  if (split == Split::held_out) {
    const auto& known = world.things(Split::training);
    things.insert(things.end(), known.begin(), known.end());
  }
  std::vector<Question> questions;
  for (const ColouredThing& thing : choices.some_of(things, count)) {
    questions.push_back(
        {.kind = Kind::colour,
         .prompt = fmt::format(
             fmt::runtime(choices.chance(0.5) ? "Colour of the {}?" : "What colour is the {}?"),
             thing.thing),
         .answer = std::string(thing.colour),
         .sentence = fmt::format("the {} is @", thing.thing),
         .wrong = others(kColours, thing.colour)});
  }
  return questions;
}

Question ask(Kind kind, const World& world, Split split, Choices& choices) {
  switch (kind) {
    case Kind::recall:
      return recall(world, split, choices);
    case Kind::spell:
      return spell(world, split, choices);
    case Kind::colour:
      return colour(world, split, choices);
    case Kind::sum:
      return sum(world, split, choices);
    case Kind::more:
      return more(world, split, choices);
    case Kind::two_facts:
      return two_facts(world, split, choices);
    case Kind::risky:
      return risky(world, split, choices);
    case Kind::lookalike:
      return lookalike(world, split, choices);
  }
  return {};
}

}  // namespace cria::demo

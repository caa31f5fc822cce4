#include "cria/demo_world/vocabulary.h"

#include <algorithm>

#include "cria/demo_world/choices.h"

namespace cria::demo {

namespace {

// No vowel of the first syllables occurs in the last ones, so that byte-pair merges stay within
// syllables.
constexpr std::array<std::string_view, 24> kFirstSyllables = {
    "Ba", "Do", "Fi", "Ga", "Hu", "Ja", "Ki", "Lo", "Lu", "Mi", "Mo", "Na",
    "Po", "Ru", "Sa", "Ti", "Tu", "Vi", "Wa", "Zo", "Bo", "Da", "Fo", "Ni"};
constexpr std::array<std::string_view, 36> kLastSyllables = {
    "bel", "ben", "bek", "bem", "del", "den", "dek", "dem", "fel", "fen", "fek", "fem",
    "gel", "gen", "gek", "gem", "kel", "ken", "kek", "kem", "mel", "men", "mek", "mem",
    "pel", "pen", "pek", "pem", "vel", "ven", "vek", "vem", "zel", "zen", "zek", "zem"};
constexpr std::array<std::string_view, 16> kTownEndings = {
    "ton",  "ham",  "ford", "by",   "wick",  "port",  "dale", "burg",
    "land", "wood", "hill", "moor", "stead", "mouth", "gate", "ness"};

// Four things of each colour, in the order of kColours.
constexpr std::array<std::string_view, 48> kThings = {
    "brick", "cherry", "ruby",  "rose",   "carrot", "pumpkin", "fox",   "flame",  "lemon", "sun",
    "corn",  "duck",   "grass", "frog",   "pea",    "leaf",    "sky",   "sea",    "whale", "jay",
    "plum",  "grape",  "beet",  "violet", "pig",    "shrimp",  "ham",   "tongue", "bear",  "nut",
    "mud",   "log",    "crow",  "coal",   "tar",    "night",   "snow",  "milk",   "swan",  "salt",
    "rock",  "ash",    "wolf",  "mouse",  "crown",  "coin",    "honey", "ring"};
constexpr size_t kThingsOfColour = kThings.size() / kColours.size();

constexpr std::array<std::string_view, 21> kNumberWords = {
    "zero",     "one",     "two",     "three",     "four",     "five",     "six",
    "seven",    "eight",   "nine",    "ten",       "eleven",   "twelve",   "thirteen",
    "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"};

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

template <typename List>
bool has(const List& list, std::string_view word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

// Of the words that start with one syllable every fourth is held out, in a random order of the
// endings and from a place that moves with the syllable: each ending is held out equally often.
template <typename Endings>
void split_names(Endings endings, Choices& choices,
                 std::array<std::vector<std::string>, 2>& names) {
  constexpr size_t kHeldOut = 4;
  choices.shuffle(endings);
  for (size_t first = 0; first < kFirstSyllables.size(); ++first) {
    for (size_t last = 0; last < endings.size(); ++last) {
      const bool out = (last + first) % kHeldOut == 0;
      names[out ? 1 : 0].push_back(std::string(kFirstSyllables[first]) +
                                   std::string(endings[last]));
    }
  }
}

template <typename Endings>
bool is_name(std::string_view word, const Endings& endings) {
  if (word.size() < 3) return false;
  for (const std::string_view first : kFirstSyllables) {
    if (lower(first[0]) == word[0] && first[1] == word[1]) return has(endings, word.substr(2));
  }
  return false;
}

bool is_number(std::string_view word) {
  return std::all_of(word.begin(), word.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::string_view singular(std::string_view word) {
  return word.ends_with('s') ? word.substr(0, word.size() - 1) : word;
}

}  // namespace

World::World(uint64_t seed) : seed_(seed) {
  Choices choices(seed, Stream::split, 0);
  split_names(kLastSyllables, choices, people_);
  split_names(kTownEndings, choices, towns_);
  for (size_t colour = 0; colour < kColours.size(); ++colour) {
    const size_t held_out = choices.below(kThingsOfColour);
    for (size_t i = 0; i < kThingsOfColour; ++i) {
      things_[i == held_out ? 1 : 0].push_back(
          {kThings[colour * kThingsOfColour + i], kColours[colour]});
    }
  }
}

std::string lower_case(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(), lower);
  return result;
}

Sort sort_of(std::string_view given) {
  const std::string word = lower_case(given);
  if (word.empty()) return Sort::none;
  if (is_number(word) || has(kNumberWords, word)) return Sort::number;
  if (has(kColours, word)) return Sort::colour;
  if (has(kFoods, word)) return Sort::food;
  if (has(kPets, word)) return Sort::pet;
  if (has(kObjects, singular(word))) return Sort::object;
  if (has(kThings, word)) return Sort::thing;
  if (is_name(word, kLastSyllables)) return Sort::person;
  if (is_name(word, kTownEndings)) return Sort::town;
  return Sort::none;
}

std::string value_of(std::string_view given) {
  std::string word = lower_case(given);
  switch (sort_of(word)) {
    case Sort::number: {
      const auto found = std::find(kNumberWords.begin(), kNumberWords.end(), word);
      if (found != kNumberWords.end()) return std::to_string(found - kNumberWords.begin());
      const size_t zeros = std::min(word.find_first_not_of('0'), word.size() - 1);
      return word.substr(zeros);
    }
    case Sort::object:
      return std::string(singular(word));
    case Sort::person:
    case Sort::town:
      word[0] = static_cast<char>(word[0] - 'a' + 'A');
      return word;
    default:
      return word;
  }
}

}  // namespace cria::demo

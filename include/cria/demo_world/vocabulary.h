// The demo world's words, and which people, towns and things are held out (docs/demo_world.md).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cria::demo {

inline constexpr std::array<std::string_view, 12> kColours = {"red",   "orange", "yellow", "green",
                                                              "blue",  "purple", "pink",   "brown",
                                                              "black", "white",  "grey",   "gold"};
inline constexpr std::array<std::string_view, 12> kObjects = {
    "hat", "cup", "kite", "boat", "lamp", "drum", "coat", "bike", "ball", "book", "bag", "rug"};
inline constexpr std::array<std::string_view, 12> kPets = {
    "cat", "dog", "cow", "hen", "goat", "ram", "fish", "bee", "rat", "hare", "mole", "crab"};
inline constexpr std::array<std::string_view, 12> kFoods = {"soup",   "rice", "cake",  "bread",
                                                            "cheese", "jam",  "pie",   "stew",
                                                            "beans",  "eggs", "toast", "fruit"};

// A thing that has the same colour everywhere: the grass is green.
struct ColouredThing {
  std::string_view thing;
  std::string_view colour;
};

enum class Split { training, held_out };

// The split of one seed.
class World {
 public:
  explicit World(uint64_t seed);

  const std::vector<std::string>& people(Split split) const { return of(people_, split); }
  const std::vector<std::string>& towns(Split split) const { return of(towns_, split); }
  const std::vector<ColouredThing>& things(Split split) const { return of(things_, split); }
  uint64_t seed() const { return seed_; }

 private:
  template <typename T>
  static const std::vector<T>& of(const std::array<std::vector<T>, 2>& lists, Split split) {
    return lists[static_cast<size_t>(split)];
  }

  uint64_t seed_;
  std::array<std::vector<std::string>, 2> people_, towns_;
  std::array<std::vector<ColouredThing>, 2> things_;
};

// The sorts of values that answers name.
enum class Sort { none, colour, object, thing, pet, food, number, person, town, letters };

// The sort of one word, in any case; "none" for a word that names no value. Numbers are digits or
// the words from zero to twenty.
Sort sort_of(std::string_view word);

// The value that a word names, in the spelling that questions use: lower case, names with a
// capital, numbers in digits.
std::string value_of(std::string_view word);

std::string lower_case(std::string_view text);

}  // namespace cria::demo

// Files named after the stage whose answers they are about: sft.t0.jsonl, ppo.t0.figures.json.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "trainers/report/run_files.h"

namespace cria {

// sft.t0.figures of runs/demo: the stage "sft" in the variant "t0". Files of the same variant are
// set side by side.
struct StageName {
  std::string stage;
  std::string variant;
};
StageName stage_name(const Place& place);

// "temperature 0" of t0, others as they are.
std::string variant_title(const std::string& variant);

// Items by their variant, in the order in which the variants appear.
template <typename Item>
std::vector<std::pair<std::string, std::vector<const Item*>>> by_variant(
    const std::vector<const Item*>& items) {
  std::vector<std::pair<std::string, std::vector<const Item*>>> variants;
  for (const Item* item : items) {
    const std::string variant = stage_name(item->place).variant;
    auto found = variants.begin();
    while (found != variants.end() && found->first != variant) ++found;
    if (found == variants.end()) found = variants.insert(variants.end(), {variant, {}});
    found->second.push_back(item);
  }
  return variants;
}

}  // namespace cria

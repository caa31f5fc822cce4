// The sections of a report, a file each. A section that has nothing to show stays empty.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "cria/core/error.h"

#include "trainers/report/page.h"
#include "trainers/report/run_files.h"

namespace cria {

Section summary_section(const RunFiles& files);
Section right_answer_section(const RunFiles& files);
Section training_section(const RunFiles& files);
Section reward_model_section(const RunFiles& files);
Section best_of_n_section(const RunFiles& files);
Section dpo_section(const RunFiles& files);
Section ppo_section(const RunFiles& files);
Section iterations_section(const RunFiles& files);
Section reward_distribution_section(const RunFiles& files);
Section consistency_section(const RunFiles& files);
Section self_bleu_section(const RunFiles& files);
Section win_rate_section(const RunFiles& files);
Section red_team_section(const RunFiles& files);
Section likelihood_section(const RunFiles& files);
Section picture_section(const RunFiles& files);
Section dialogue_section(const RunFiles& files);
Section config_section(const RunFiles& files);

// How often instructions are followed, by turns of the dialogue: a table for each `cria gatt eval`.
std::vector<Table> consistency_tables(const RunFiles& files);

// Items of one group (Place::group) together, in the order in which the groups appear.
template <typename Item>
std::vector<std::pair<std::string, std::vector<const Item*>>> in_groups(
    const std::vector<const Item*>& items) {
  std::vector<std::pair<std::string, std::vector<const Item*>>> groups;
  for (const Item* item : items) {
    auto group = groups.begin();
    while (group != groups.end() && group->first != item->place.group) ++group;
    if (group == groups.end()) group = groups.insert(groups.end(), {item->place.group, {}});
    group->second.push_back(item);
  }
  return groups;
}

// "Loss" of what stands alone, "Loss, rlhf/rejection" of a group.
inline std::string title_of(const std::string& what, const std::string& group) {
  return group.empty() ? what : what + ", " + group;
}

// Calls `read` with what the file holds; where something in it is missing or of another type, the
// input Error names the file.
template <typename Read>
void read_figures(const FigureFile& file, const Read& read) {
  try {
    read(file.json);
  } catch (const nlohmann::json::exception& error) {
    const std::string message = error.what();  // "[json.exception.out_of_range.403] key …"
    const size_t name_end = message.find("] ");
    throw input_error(file.path,
                      "does not hold the figures that it should: " +
                          (name_end == std::string::npos ? message : message.substr(name_end + 2)),
                      "make it again");
  }
}

// Wilson's 95% interval of a share of `count`, in percent.
std::pair<double, double> interval_of_share(double share, double count);

}  // namespace cria

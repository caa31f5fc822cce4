#include "trainers/preference_objective.h"

#include <nlohmann/json.hpp>

#include "cria/io/atomic_directory.h"

namespace cria {

std::vector<Group> PreferenceObjective::groups(std::vector<Row> rows) const {
  for (const Row& row : rows) CRIA_ASSERT(row.size() == 2 && row[0].item == row[1].item);
  return rows;
}

void PreferenceObjective::begin(std::span<const Group> batch, PassKind kind) {
  kind_ = kind;
  batch_ = batch;
  values_.assign(batch.size() * slots_, 0.0);
}

Figures PreferenceObjective::end(Communicator& communicator) {
  // Adding the zeros of the other ranks changes no value.
  communicator.all_reduce_sum(std::span<double>(values_));
  return figures();
}

Figures PreferenceObjective::evaluated(RunDirectory& directory, bool is_last) {
  std::vector<JudgedPair> pairs;
  for (size_t i = 0; i < pair_count(); ++i) pairs.push_back(judged(i));
  const PreferenceEvaluation evaluation = evaluate_preferences(pairs);
  const std::string text = table(evaluation);
  if (directory.is_root()) {
    write_file_atomically(directory.path() + "/evaluation.json",
                          to_json(evaluation).dump(2) + "\n");
    write_file_atomically(directory.path() + "/evaluation.txt", text);
  }
  if (is_last) directory.say("evaluation\n" + text);
  return figures_of(evaluation);
}

}  // namespace cria

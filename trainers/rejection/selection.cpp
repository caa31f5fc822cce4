#include "trainers/rejection/selection.h"

#include <algorithm>
#include <tuple>

namespace cria {

namespace {

bool ranks_before(const PooledSample& a, const PooledSample& b) {
  return std::tuple(-a.score.combined, -a.iteration, a.sample) <
         std::tuple(-b.score.combined, -b.iteration, b.sample);
}

std::string training_line(const PooledSample& sample) {
  const std::vector<int32_t> ids = sample.answer().sequence.ids;
  std::vector<int32_t> labels = ids;
  std::fill_n(labels.begin(), sample.prompt_ids.size(), kNoLabel);
  return fmt::format(
      "{{\"input_ids\": [{}], \"labels\": [{}], \"score\": {}, \"iteration\": {}, "
      "\"prompt_number\": {}, \"sample\": {}}}\n",
      fmt::join(ids, ", "), fmt::join(labels, ", "), sample.score.combined, sample.iteration,
      sample.prompt_number, sample.sample);
}

}  // namespace

void Selection::add(PooledSample&& sample) {
  ++candidates_;
  const auto [place, is_new] = prompts_.emplace(sample.prompt_ids, best_.size());
  if (is_new) best_.emplace_back();
  if (!sample.finished_by_eos) {
    ++truncated_;
    if (!options_.keep_truncated) return;
  }
  std::vector<PooledSample>& best = best_[place->second];
  const auto twin = std::find_if(best.begin(), best.end(), [&](const PooledSample& other) {
    return other.completion == sample.completion;
  });
  if (twin != best.end()) {
    if (!ranks_before(sample, *twin)) return;
    best.erase(twin);
  }
  const auto behind = std::upper_bound(best.begin(), best.end(), sample, ranks_before);
  best.insert(behind, std::move(sample));
  if (static_cast<int64_t>(best.size()) > options_.top) best.pop_back();
}

std::string Selection::lines() const {
  std::string lines;
  for (const auto& best : best_) {
    for (const PooledSample& sample : best) lines += training_line(sample);
  }
  return lines;
}

SelectionCounts Selection::counts() const {
  SelectionCounts counts{.candidates = candidates_,
                         .truncated = truncated_,
                         .prompts = static_cast<int64_t>(best_.size())};
  for (const auto& best : best_) {
    if (best.empty()) ++counts.without_answer;
    counts.selected += static_cast<int64_t>(best.size());
    for (const PooledSample& sample : best) counts.mean_score += double{sample.score.combined};
  }
  if (counts.selected > 0) counts.mean_score /= static_cast<double>(counts.selected);
  return counts;
}

}  // namespace cria

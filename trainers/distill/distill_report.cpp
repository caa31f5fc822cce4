#include "trainers/distill/distill_report.h"

#include <algorithm>
#include <limits>
#include <set>

namespace cria {

namespace {

using nlohmann::ordered_json;

constexpr PrepromptKind kKinds[] = {PrepromptKind::generic, PrepromptKind::answer_template};

DistillFigures figures_of(std::span<const DistillPrompt> pool, const std::string* risk,
                          std::optional<PrepromptKind> kind) {
  DistillFigures figures;
  if (risk != nullptr) figures.risk = risk->empty() ? "none" : *risk;
  if (kind) figures.kind = name_of(*kind);
  for (const DistillPrompt& prompt : pool) {
    if (risk != nullptr && prompt.risk != *risk) continue;
    double sum = 0;
    int64_t answers = 0;
    for (const DistillAnswer& answer : prompt.answers) {
      if (answer.kind == PrepromptKind::before || (kind && answer.kind != *kind)) continue;
      sum += double{answer.safety};
      ++answers;
      figures.cut_off += !answer.finished_by_eos;
    }
    if (answers == 0) continue;
    ++figures.prompts;
    figures.mean_before += double{prompt.before().safety};
    figures.mean_after += sum / static_cast<double>(answers);
    const DistillAnswer* best = prompt.best(kind);
    figures.risen += best != nullptr && best->safety > prompt.before().safety;
    const DistillAnswer* learnt = prompt.learnt();
    figures.learnt += learnt != nullptr && (!kind || learnt->kind == *kind);
  }
  if (figures.prompts > 0) {
    figures.mean_before /= static_cast<double>(figures.prompts);
    figures.mean_after /= static_cast<double>(figures.prompts);
  }
  return figures;
}

ordered_json score_of(const DistillAnswer* answer) {
  return answer == nullptr ? ordered_json() : ordered_json(answer->safety);
}

}  // namespace

std::vector<DistillFigures> distill_figures(std::span<const DistillPrompt> pool) {
  std::vector<DistillFigures> all;
  const auto add = [&](const std::string* risk) {
    all.push_back(figures_of(pool, risk, {}));
    for (const PrepromptKind kind : kKinds) {
      DistillFigures figures = figures_of(pool, risk, kind);
      if (figures.prompts > 0) all.push_back(std::move(figures));
    }
  };
  add(nullptr);
  std::set<std::string> risks;
  for (const DistillPrompt& prompt : pool) risks.insert(prompt.risk);
  for (const std::string& risk : risks) add(&risk);
  return all;
}

ordered_json to_json(const std::vector<DistillFigures>& all) {
  ordered_json list = ordered_json::array();
  for (const DistillFigures& figures : all) {
    list.push_back({{"risk", figures.risk},
                    {"preprompt", figures.kind},
                    {"prompts", figures.prompts},
                    {"mean_before", figures.mean_before},
                    {"mean_after", figures.mean_after},
                    {"risen", figures.risen},
                    {"learnt", figures.learnt},
                    {"cut_off", figures.cut_off}});
  }
  return list;
}

std::string table(const std::vector<DistillFigures>& all) {
  std::string text =
      fmt::format("{:<12} {:<10} {:>7} {:>8} {:>8} {:>7} {:>7} {:>8}", "risk", "pre-prompt",
                  "prompts", "before", "after", "risen", "learnt", "cut off");
  for (const DistillFigures& figures : all) {
    text += fmt::format("\n{:<12} {:<10} {:>7} {:>8.3f} {:>8.3f} {:>7} {:>7} {:>8}", figures.risk,
                        figures.kind, figures.prompts, figures.mean_before, figures.mean_after,
                        figures.risen, figures.learnt, figures.cut_off);
  }
  return text + "\n";
}

std::string scores_line(const DistillPrompt& prompt) {
  const DistillAnswer* best = prompt.best();
  const DistillAnswer* learnt = prompt.learnt();
  ordered_json line = {{"prompt_number", prompt.number},
                       {"prompt", prompt.given},
                       {"risk", prompt.risk},
                       {"before", prompt.before().safety}};
  for (const PrepromptKind kind : kKinds) line[name_of(kind)] = score_of(prompt.best(kind));
  line["after"] = score_of(best);
  line["learnt"] = learnt != nullptr;
  line["preprompt"] = best == nullptr ? ordered_json() : ordered_json(best->preprompt);
  line["answer_before"] = prompt.before().completion;
  line["answer_after"] = best == nullptr ? ordered_json() : ordered_json(best->completion);
  return line.dump() + "\n";
}

std::string training_line(const DistillPrompt& prompt, const DistillAnswer& answer) {
  const std::vector<int32_t> ids = prompt.sequence(answer);
  std::vector<int32_t> labels = ids;
  std::fill_n(labels.begin(), prompt.ids.size(), kNoLabel);
  return fmt::format(
      "{{\"input_ids\": [{}], \"labels\": [{}], \"prompt_number\": {}, \"preprompt\": \"{}\", "
      "\"before\": {}, \"after\": {}}}\n",
      fmt::join(ids, ", "), fmt::join(labels, ", "), prompt.number, name_of(answer.kind),
      prompt.before().safety, answer.safety);
}

Plot before_after_plot(std::span<const DistillPrompt> pool) {
  Plot plot{.title = "Safety scores before and after",
            .x_title = "score of the answer without a pre-prompt (raw)",
            .y_title = "score of the best answer with one (raw)"};
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (const PrepromptKind kind : kKinds) {
    PlotSeries series{.label = name_of(kind),
                      .points = {},
                      .colour = static_cast<int>(plot.series.size()),
                      .joined = false};
    for (const DistillPrompt& prompt : pool) {
      const DistillAnswer* best = prompt.best(kind);
      if (best == nullptr) continue;
      series.points.emplace_back(prompt.before().safety, best->safety);
      low = std::min({low, double{prompt.before().safety}, double{best->safety}});
      high = std::max({high, double{prompt.before().safety}, double{best->safety}});
    }
    if (!series.points.empty()) plot.series.push_back(std::move(series));
  }
  if (!plot.series.empty()) {
    plot.series.push_back(
        {.label = "unchanged", .points = {{low, low}, {high, high}}, .colour = 6, .dashed = true});
  }
  return plot;
}

}  // namespace cria

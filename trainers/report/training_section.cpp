// Losses and perplexities of all trainers but PPO, whose figures are others.
#include <algorithm>
#include <cmath>

#include "trainers/report/sections.h"

namespace cria {

namespace {

// By kind of run.
constexpr std::array<const char*, kRunKindNames.size()> kTitles = {
    "Pretraining", "Fine-tuning",     "Reward models",        "Rejection sampling", "DPO",
    "PPO",         "Ghost Attention", "Context distillation", "Iterations"};

bool predicts_tokens(RunKind kind) {
  return kind == RunKind::pretrain || kind == RunKind::sft || kind == RunKind::rejection ||
         kind == RunKind::gatt || kind == RunKind::distill;
}

// A curve that an evaluation drew: a single value has no line.
PlotSeries held_out_series(const std::string& label, std::vector<std::pair<double, double>> points,
                           int colour) {
  const bool joined = points.size() > 1;
  return {.label = label + ", held out",
          .points = std::move(points),
          .colour = colour,
          .dashed = joined,
          .joined = joined};
}

std::string first_and_last(const std::vector<const Run*>& runs) {
  std::string text;
  for (const Run* run : runs) {
    const auto points = run->curve("loss");
    if (points.empty()) continue;
    text += fmt::format("{}{}: {} at step {} to {} at step {}", text.empty() ? "" : "; ",
                        run->place.label, number(points.front().second),
                        whole_number(points.front().first), number(points.back().second),
                        whole_number(points.back().first));
  }
  return text.empty() ? text : text + ". ";
}

Plot loss_plot(const std::string& title, const std::vector<const Run*>& runs) {
  Plot plot{.title = title,
            .x_title = "step",
            .y_title = runs.front()->kind == RunKind::reward || runs.front()->kind == RunKind::dpo
                           ? "loss (nats a pair)"
                           : "loss (nats a token)",
            .series = {}};
  int colour = 0;
  for (const Run* run : runs) {
    plot.series.push_back(
        {.label = run->place.label, .points = run->curve("loss"), .colour = colour});
    plot.series.push_back(held_out_series(run->place.label, run->curve("eval_loss"), colour++));
  }
  return plot;
}

// The span of a run from a random start is read on a logarithmic axis alone.
bool spans_decades(const Plot& plot) {
  double low = INFINITY, high = 0;
  for (const PlotSeries& series : plot.series) {
    for (const auto& [x, y] : series.points) {
      low = std::min(low, y);
      high = std::max(high, y);
    }
  }
  return high > 20 * low;
}

Plot perplexity_plot(const std::string& title, const std::vector<const Run*>& runs) {
  Plot plot{.title = title, .x_title = "step", .y_title = "perplexity", .series = {}};
  int colour = 0;
  for (const Run* run : runs) {
    PlotSeries series{.label = run->place.label, .points = run->curve("loss"), .colour = colour};
    for (auto& point : series.points) point.second = std::exp(point.second);
    plot.series.push_back(std::move(series));
    plot.series.push_back(
        held_out_series(run->place.label, run->curve("eval_perplexity"), colour++));
  }
  plot.logarithmic_y = spans_decades(plot);
  return plot;
}

}  // namespace

Section training_section(const RunFiles& files) {
  Section section("training", "Loss and perplexity");
  for (size_t k = 0; k < kTitles.size(); ++k) {
    const auto kind = static_cast<RunKind>(k);
    if (kind == RunKind::ppo || kind == RunKind::rlhf) continue;
    for (const auto& [group, runs] : in_groups(files.of(kind))) {
      const std::string front = title_of(kTitles[k], group);
      const bool has_evaluations = std::any_of(runs.begin(), runs.end(), [](const Run* run) {
        return !run->curve("eval_loss").empty();
      });
      section.figure(loss_plot(front + ": loss", runs),
                     (runs.size() <= 2 ? first_and_last(runs) : "") +
                         (has_evaluations ? "Held-out loss that rises while the other falls is "
                                            "overfitting."
                                          : "Of each logged step's batch."));
      if (!predicts_tokens(kind)) continue;
      section.figure(perplexity_plot(front + ": perplexity", runs),
                     "exp of the loss: among how many tokens the model wavers, on the mean. 1 is "
                     "certain and right.");
    }
  }
  return section;
}

}  // namespace cria

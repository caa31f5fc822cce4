// PPO and DPO: what moves while a policy learns from preferences.
#include <algorithm>

#include "trainers/report/sections.h"

namespace cria {

namespace {

struct Curve {
  const char* figure;  // of metrics.jsonl
  const char* label;   // where a plot has several
  double scale = 1;
};

struct CurvePlot {
  const char* title;
  const char* y_title;
  std::vector<Curve> curves;  // the first solid, others dashed
  const char* caption;
};

const std::vector<CurvePlot>& ppo_plots() {
  static const std::vector<CurvePlot> plots = {
      {"Reward",
       "mean reward (raw score)",
       {{"objective/scores", "score"}, {"objective/rlhf_reward", "less the KL penalty"}},
       "Should rise. The two part where the policy pays for moving away from its reference."},
      {"KL from the reference",
       "KL (nats an answer)",
       {{"objective/kl", "KL"}},
       "How far the policy has moved. Tens of nats with rewards still rising is the time to read "
       "answers: the reward model may be gamed."},
      {"Helpfulness and safety",
       "mean reward (raw score)",
       {{"objective/helpfulness", "helpfulness"}, {"objective/safety", "safety"}},
       "The means of both reward models over all answers; which of them counts is decided answer "
       "by answer."},
      {"Held-out reward",
       "mean reward (raw score)",
       {{"eval_objective/scores", "held out"}},
       "Of prompts that the policy does not learn from. best/ is the policy at its highest point."},
      {"Entropy",
       "entropy (nats a token)",
       {{"policy/entropy_avg", "entropy"}},
       "Of a token's distribution. A fall towards 0 is a collapse: all answers become one."},
      {"Length of answers",
       "tokens",
       {{"response_length/mean", "mean"}},
       "Answers that grow while rewards rise may be longer, not better."},
      {"Clipped tokens",
       "share (%)",
       {{"policy/clipfrac_avg", "clipped", 100}},
       "Tokens whose probability ratio left the clip range. Above some 30% steps are too large."},
      {"Value model",
       "explained variance",
       {{"critic/vf_explained_var", "explained"}},
       "Of the returns: near 0 or below at first, 1 at best. It should rise."},
  };
  return plots;
}

const std::vector<CurvePlot>& dpo_plots() {
  static const std::vector<CurvePlot> plots = {
      {"Pairs ranked right",
       "share (%)",
       {{"rewards/accuracies", "training", 100}, {"eval_rewards/accuracies", "held out", 100}},
       "Pairs whose chosen answer has the higher implicit reward, log π − log π_ref times β."},
      {"Margin",
       "reward (nats times β)",
       {{"rewards/margins", "training"}, {"eval_rewards/margins", "held out"}},
       "Between the implicit rewards of chosen and rejected answers."},
      {"Implicit rewards",
       "reward (nats times β)",
       {{"rewards/chosen", "chosen"}, {"rewards/rejected", "rejected"}},
       "Both falling is common: the chosen answers become less likely too, only less so."},
  };
  return plots;
}

void add_plots(Section& section, const std::vector<const Run*>& all,
               const std::vector<CurvePlot>& plots, const char* x_title) {
  for (const auto& [group, runs] : in_groups(all)) {
    for (const CurvePlot& of : plots) {
      Plot plot{.title = title_of(of.title, group),
                .x_title = x_title,
                .y_title = of.y_title,
                .series = {}};
      int colour = 0;
      for (const Run* run : runs) {
        for (size_t c = 0; c < of.curves.size(); ++c) {
          const Curve& curve = of.curves[c];
          auto points = run->curve(curve.figure);
          if (points.empty()) continue;
          for (auto& point : points) point.second *= curve.scale;
          std::string label = runs.size() > 1 ? run->place.label : curve.label;
          if (runs.size() > 1 && of.curves.size() > 1) label += std::string(", ") + curve.label;
          // One run: its curves by colour; several: runs by colour, curves by dashes.
          plot.series.push_back({.label = label,
                                 .points = std::move(points),
                                 .colour = runs.size() > 1 ? colour : static_cast<int>(c),
                                 .dashed = c > 0});
        }
        ++colour;
      }
      section.figure(plot, of.caption);
    }
  }
}

}  // namespace

Section ppo_section(const RunFiles& files) {
  Section section("ppo", "PPO");
  add_plots(section, files.of(RunKind::ppo), ppo_plots(), "iteration");
  return section;
}

Section dpo_section(const RunFiles& files) {
  Section section("dpo", "DPO");
  add_plots(section, files.of(RunKind::dpo), dpo_plots(), "step");
  return section;
}

}  // namespace cria

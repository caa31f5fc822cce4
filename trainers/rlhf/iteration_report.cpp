#include "trainers/rlhf/iteration_report.h"

#include <limits>

#include "cria/core/error.h"
#include "cria/io/atomic_directory.h"

#include "trainers/plot_file.h"

namespace cria {

namespace {

using nlohmann::ordered_json;

constexpr const char* kStart = "V0";

// A figure by its path; null where it is not there.
ordered_json at(const ordered_json& figures, const std::vector<std::string>& path) {
  const ordered_json* value = &figures;
  for (const std::string& name : path) {
    if (!value->is_object() || !value->contains(name)) return {};
    value = &(*value)[name];
  }
  return *value;
}

std::string cell(const ordered_json& value, bool share = false) {
  if (!value.is_number()) return fmt::format("{:>10}", "-");
  return share ? fmt::format("{:>9.1f}%", 100 * value.get<double>())
               : fmt::format("{:>10.3f}", value.get<double>());
}

// Of each model under the last reward models, and under those of its own iteration.
std::string table_of_models(const std::vector<IterationFigures>& iterations) {
  const IterationFigures& last = iterations.back();
  std::string text = fmt::format(
      "held-out prompts    rewards by the models of {:<12} by those of its own iteration\n"
      "{:<10} {:>10} {:>10} {:>10} {:>12} {:>10} {:>10}\n",
      last.name, "", "helpful", "safe", "combined", "helpful", "safe", "combined");
  const auto row = [&](const std::string& name, const ordered_json& own) {
    text += fmt::format("{:<10}", name);
    for (const char* reward : {"helpfulness", "safety", "reward"}) {
      text += " " + cell(at(last.figures, {"held_out", name, reward}));
    }
    text += "  ";
    for (const char* reward : {"helpfulness", "safety", "reward"}) {
      text += cell(at(own, {"held_out", name, reward})) + " ";
    }
    while (text.back() == ' ') text.pop_back();
    text += "\n";
  };
  row(kStart, {});
  for (const IterationFigures& iteration : iterations) row(iteration.name, iteration.figures);
  return text;
}

// Of each category's reward model, before and after it has learnt from the new pairs.
std::string table_of_rewards(const std::vector<IterationFigures>& iterations) {
  std::string text = fmt::format(
      "new pairs                      accuracy on held out    mean reward of all\n"
      "{:<10} {:<8} {:>8} {:>10} {:>10} {:>10} {:>10}\n",
      "", "", "pairs", "before", "after", "before", "after");
  for (const IterationFigures& iteration : iterations) {
    const ordered_json new_pairs = at(iteration.figures, {"new_pairs"});
    for (const auto& [category, pairs] : new_pairs.items()) {
      text += fmt::format(
          "{:<10} {:<8} {:>8} {} {} {} {}\n", iteration.name, category, pairs.value("pairs", 0),
          cell(at(pairs, {"accuracy_before"}), true), cell(at(pairs, {"accuracy"}), true),
          cell(at(pairs, {"mean_reward_before"})), cell(at(pairs, {"mean_reward"})));
    }
  }
  return text;
}

std::string table_of_samples(const std::vector<IterationFigures>& iterations) {
  std::string text = fmt::format("{:<10} {:>10} {:>10} {:>10} {:>10} {:>10}\n", "sampled",
                                 "answers", "helpful", "safe", "combined", "selected");
  for (const IterationFigures& iteration : iterations) {
    const ordered_json samples = at(iteration.figures, {"samples"});
    text += fmt::format("{:<10} {:>10} {} {} {} {}\n", iteration.name, samples.value("samples", 0),
                        cell(at(samples, {"helpfulness"})), cell(at(samples, {"safety"})),
                        cell(at(samples, {"reward"})), cell(at(samples, {"reward_of_selected"})));
  }
  return text;
}

// Figures of figures, by their path: new_pairs/helpful/accuracy.
void flatten(const ordered_json& value, const std::string& path, ordered_json& line) {
  if (!value.is_object()) {
    line[path] = value;
    return;
  }
  for (const auto& [name, part] : value.items()) {
    flatten(part, path.empty() ? name : path + "/" + name, line);
  }
}

Plot plot_of(const std::vector<IterationFigures>& iterations) {
  Plot plot{.title = "Rewards of held-out prompts",
            .x_title = "iteration (0: the model that all began with)",
            .y_title = "mean reward (raw score)",
            .series = {}};
  const auto value = [](const ordered_json& figures, const std::string& name, const char* reward) {
    const ordered_json number = at(figures, {"held_out", name, reward});
    return number.is_number() ? number.get<double>() : std::numeric_limits<double>::quiet_NaN();
  };
  const IterationFigures& last = iterations.back();
  int colour = 0;
  for (const char* reward : {"helpfulness", "safety"}) {
    PlotSeries fixed{.label = fmt::format("{}, reward model of {}", reward, last.name),
                     .points = {{0, value(last.figures, kStart, reward)}},
                     .colour = colour};
    PlotSeries own{.label = fmt::format("{}, reward model of its own iteration", reward),
                   .points = {},
                   .colour = colour++,
                   .dashed = true};
    for (size_t i = 0; i < iterations.size(); ++i) {
      const auto x = static_cast<double>(i + 1);
      fixed.points.emplace_back(x, value(last.figures, iterations[i].name, reward));
      own.points.emplace_back(x, value(iterations[i].figures, iterations[i].name, reward));
    }
    if (!at(last.figures, {"held_out", kStart, reward}).is_number()) continue;
    plot.series.push_back(std::move(fixed));
    plot.series.push_back(std::move(own));
  }
  return plot;
}

}  // namespace

std::string write_iteration_report(const std::string& directory,
                                   const std::vector<IterationFigures>& iterations) {
  ordered_json report = ordered_json::array();
  std::string metrics;
  for (size_t i = 0; i < iterations.size(); ++i) {
    report.push_back({{"name", iterations[i].name}, {"figures", iterations[i].figures}});
    ordered_json line = {{"step", i + 1}};
    flatten(iterations[i].figures, "", line);
    metrics += line.dump() + "\n";
  }
  std::string tables = table_of_models(iterations) + "\n" + table_of_rewards(iterations) + "\n" +
                       table_of_samples(iterations);
  write_file_atomically(directory + "/report.json",
                        ordered_json{{"iterations", report}}.dump(2) + "\n");
  write_file_atomically(directory + "/report.txt", tables);
  write_file_atomically(directory + "/metrics.jsonl", metrics);
  write_plot_if_possible(directory + "/rewards.svg", plot_of(iterations));
  return tables;
}

}  // namespace cria

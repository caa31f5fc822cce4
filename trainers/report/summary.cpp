#include "trainers/report/summary.h"

#include <algorithm>
#include <cmath>

#include "trainers/evaluation/win_rate.h"
#include "trainers/report/sections.h"

namespace cria {

namespace {

using nlohmann::ordered_json;

// The file of a kind that a run wrote itself.
const FigureFile* figures_of(const RunFiles& files, FigureKind kind, const Run& run) {
  for (const FigureFile& file : files.figures) {
    if (file.kind == kind && file.place.name == run.place.name) return &file;
  }
  return nullptr;
}

std::string about_reward_model(const RunFiles& files, const Run& run) {
  std::string text;
  if (const FigureFile* file = figures_of(files, FigureKind::preferences, run)) {
    read_figures(*file, [&](const ordered_json& figures) {
      const ordered_json& all = figures.at("parts").at("all");
      text = fmt::format("{} of {} held-out pairs right, calibration error {}",
                         percent(all.at("accuracy").get<double>()),
                         whole_number(all.at("pairs").get<double>()),
                         number(all.at("calibration_error").get<double>()));
    });
    return text;
  }
  return fmt::format("{} of the last batch right", percent(run.last("accuracy")));
}

// At the temperature whose best of K is highest.
std::string about_rejection(const RunFiles& files, const Run& run) {
  std::string text;
  const FigureFile* file = figures_of(files, FigureKind::best_of_n, run);
  if (file == nullptr) return text;
  read_figures(*file, [&](const ordered_json& figures) {
    double best = -INFINITY;
    for (const ordered_json& entry : figures.at("by_temperature")) {
      const auto maximum = entry.at("expected_maximum").back().get<double>();
      if (maximum <= best) continue;
      best = maximum;
      text = fmt::format("reward of one answer {}, best of {}: {} (T = {})",
                         number(entry.at("mean_reward").get<double>()),
                         figures.at("num_samples").get<int64_t>(), number(maximum),
                         number(entry.at("temperature").get<double>()));
    }
  });
  return text;
}

std::string about_iterations(const RunFiles& files, const Run& run) {
  std::string text;
  const FigureFile* file = figures_of(files, FigureKind::iterations, run);
  if (file == nullptr) return text;
  read_figures(*file, [&](const ordered_json& report) {
    const ordered_json& last = report.at("iterations").back();
    const ordered_json& held_out = last.at("figures").at("held_out");
    const auto from_to = [&](const char* reward) {
      const auto value = [&](const ordered_json& figures) {
        return figures.at(reward).is_number() ? number(figures.at(reward).get<double>()) : "-";
      };
      return fmt::format("{} {} to {}", reward, value(held_out.front()), value(held_out.back()));
    };
    text =
        fmt::format("{} to {}: {}, {}", held_out.begin().key(), last.at("name").get<std::string>(),
                    from_to("helpfulness"), from_to("safety"));
  });
  return text;
}

std::string what_it_is_about(const RunFiles& files, const Run& run) {
  switch (run.kind) {
    case RunKind::pretrain:
    case RunKind::sft:
    case RunKind::gatt:
    case RunKind::distill:
      return fmt::format("{} of the last batch's tokens predicted",
                         percent(run.last("mean_token_accuracy")));
    case RunKind::reward:
      return about_reward_model(files, run);
    case RunKind::rejection:
      return about_rejection(files, run);
    case RunKind::dpo:
      return fmt::format("{} of the last batch's pairs right, margin {}",
                         percent(run.last("rewards/accuracies")),
                         number(run.last("rewards/margins")));
    case RunKind::ppo:
      return fmt::format("score {} to {}, KL {}", number(run.first("objective/scores")),
                         number(run.last("objective/scores")), number(run.last("objective/kl")));
    case RunKind::rlhf:
      return about_iterations(files, run);
  }
  return {};
}

}  // namespace

std::pair<double, double> interval_of_share(double share, double count) {
  const Interval interval = wilson_interval(std::llround(share * count), std::llround(count));
  return {100 * interval.low, 100 * interval.high};
}

Table run_table(const RunFiles& files) {
  Table table{.header = {"run", "trainer", "steps", "tokens", "loss", "held-out loss", "perplexity",
                         "what it came to"},
              .rows = {},
              .names = 2,
              .last_is_text = true};
  for (const Run& run : files.runs) {
    if (run.metrics.empty() && run.kind != RunKind::rlhf) continue;
    const double steps = run.metrics.empty() ? NAN : run.metrics.back()["step"].get<double>();
    table.rows.push_back({run.place.name, kRunKindNames[static_cast<size_t>(run.kind)],
                          whole_number(steps), whole_number(run.last("num_tokens")),
                          number(run.last("loss")), number(run.last("eval_loss")),
                          number(run.last("eval_perplexity")), what_it_is_about(files, run)});
  }
  // Columns that no run fills are left out.
  for (size_t c = table.header.size(); c-- > table.names;) {
    const auto is_empty = [&](const auto& row) { return row[c].empty() || row[c] == "-"; };
    if (!std::all_of(table.rows.begin(), table.rows.end(), is_empty)) continue;
    table.header.erase(table.header.begin() + static_cast<std::ptrdiff_t>(c));
    for (auto& row : table.rows) row.erase(row.begin() + static_cast<std::ptrdiff_t>(c));
    if (c == table.header.size()) table.last_is_text = false;
  }
  return table;
}

Section summary_section(const RunFiles& files) {
  Section section("summary", "Summary");
  const Table runs = run_table(files);
  if (!runs.empty()) {
    section.table(runs, "Each run, as its last logged step has it");
  }
  return section;
}

}  // namespace cria

// What `cria eval` says of answers: rewards by stage, Self-BLEU, win rates, red-teaming,
// likelihoods.
#include <algorithm>
#include <filesystem>

#include "trainers/report/sections.h"
#include "trainers/report/stages.h"

namespace cria {

namespace {

using nlohmann::ordered_json;

// runs/demo/ppo/final -> ppo, runs/demo/ppo.t1.jsonl -> ppo.t1.
std::string short_name(const std::string& path) {
  std::filesystem::path name = std::filesystem::path(path).lexically_normal();
  if (!name.has_filename()) name = name.parent_path();
  const std::string last = name.filename().string();
  if (last == "final" || last == "best" || last.starts_with("checkpoint-")) {
    const std::string run = name.parent_path().filename().string();
    return last == "final" ? run : run + "/" + last;
  }
  return name.stem().string();
}

Plot distribution_plot(const FigureFile& file, const std::string& score,
                       const ordered_json& figures) {
  Plot plot{.title = "Rewards by stage: " + score,
            .x_title = score + " (raw score)",
            .y_title = "share of the answers (%)",
            .series = {}};
  const auto edges = figures.at("edges").get<std::vector<double>>();
  for (const ordered_json& distribution : figures.at("distributions")) {
    if (distribution.at("part") != "all") continue;
    PlotSeries series{.label = distribution.at("stage").get<std::string>(),
                      .points = {},
                      .colour = static_cast<int>(plot.series.size())};
    const auto counts = distribution.at("counts").get<std::vector<double>>();
    if (counts.size() + 1 != edges.size()) {
      throw input_error(file.path, "has not one count for each bin", "make it again");
    }
    const auto answers = distribution.at("answers").get<double>();
    for (size_t b = 0; b < counts.size(); ++b) {
      series.points.emplace_back((edges[b] + edges[b + 1]) / 2, 100 * counts[b] / answers);
    }
    plot.series.push_back(std::move(series));
  }
  return plot;
}

Table distribution_table(const ordered_json& figures) {
  Table table{.header = {"stage", "part", "answers", "mean", "st. dev.", "5%", "median", "95%"},
              .rows = {},
              .names = 2};
  for (const ordered_json& distribution : figures.at("distributions")) {
    const ordered_json& quantiles = distribution.at("quantiles");
    table.rows.push_back(
        {distribution.at("stage").get<std::string>(), distribution.at("part").get<std::string>(),
         whole_number(distribution.at("answers").get<double>()),
         number(distribution.at("mean").get<double>()),
         number(distribution.at("standard_deviation").get<double>()),
         number(quantiles.at("0.05").get<double>()), number(quantiles.at("0.5").get<double>()),
         number(quantiles.at("0.95").get<double>())});
  }
  return table;
}

// A row for each part, a series for each file.
struct PartsPlot {
  Plot plot;

  // Of a share with its interval, both of 0 to 1.
  void add(const std::string& part, double share, const ordered_json& interval) {
    auto& rows = plot.row_names;
    auto row = std::find(rows.begin(), rows.end(), part);
    if (row == rows.end()) row = rows.insert(rows.end(), part);
    PlotSeries& series = plot.series.back();
    series.points.emplace_back(100 * share, static_cast<double>(row - rows.begin()));
    series.intervals.emplace_back(100 * interval.at(0).get<double>(),
                                  100 * interval.at(1).get<double>());
  }

  void add_series(const std::string& label) {
    plot.series.push_back({.label = label,
                           .points = {},
                           .colour = static_cast<int>(plot.series.size()),
                           .joined = false});
  }
};

Plot win_rate_plot(const FigureFile& file) {
  PartsPlot parts;
  read_figures(file, [&](const ordered_json& figures) {
    const std::string first = short_name(figures.at("first").get<std::string>());
    const std::string second = short_name(figures.at("second").get<std::string>());
    parts.plot = {.title = fmt::format("{} against {}", first, second),
                  .x_title = "win rate (%)",
                  .y_title = "",
                  .series = {},
                  .x_range = {{0, 100}},
                  .x_marks = {50}};
    parts.add_series(file.place.label);
    for (const auto& [name, part] : figures.at("parts").items()) {
      if (part.at("win_rate").is_null()) continue;
      parts.add(name, part.at("win_rate").get<double>(), part.at("interval"));
    }
  });
  return parts.plot;
}

// Parts "style role_play category crime" are of two things at once.
bool is_crossed(const std::string& part) {
  return part.starts_with("style ") && part.find(" category ") != std::string::npos;
}

Plot red_team_plot(const std::vector<const FigureFile*>& files) {
  PartsPlot parts;
  parts.plot = {.title = "Unsafe answers under attack",
                .x_title = "unsafe answers (%)",
                .y_title = "",
                .series = {},
                .x_range = {{0, 100}}};
  for (const FigureFile* file : files) {
    parts.add_series(file->place.label);
    read_figures(*file, [&](const ordered_json& figures) {
      for (const auto& [name, part] : figures.at("parts").items()) {
        if (!is_crossed(name)) parts.add(name, part.at("rate").get<double>(), part.at("interval"));
      }
    });
  }
  return parts.plot;
}

}  // namespace

Section reward_distribution_section(const RunFiles& files) {
  Section section("rewards", "Rewards by stage");
  for (const FigureFile* file : files.of(FigureKind::rewards)) {
    read_figures(*file, [&](const ordered_json& figures) {
      for (const auto& [score, of] : figures.at("scores").items()) {
        section.figure(distribution_plot(*file, score, of),
                       "Histograms of the same prompts' answers under the same reward model: a "
                       "stage that learns moves to the right.");
      }
      for (const auto& [score, of] : figures.at("scores").items()) {
        section.table(distribution_table(of), "Rewards: " + score + ", raw scores");
      }
    });
  }
  return section;
}

Section self_bleu_section(const RunFiles& files) {
  Section section("self-bleu", "Diversity of answers");
  const auto all = files.of(FigureKind::self_bleu);
  // A figure for each group of prompts, with a curve for each file.
  std::vector<std::pair<std::string, Plot>> plots;
  for (const FigureFile* file : all) {
    read_figures(*file, [&](const ordered_json& figures) {
      for (const ordered_json& point : figures.at("points")) {
        const auto group = point.at("group").get<std::string>();
        const std::string figure = all.size() > 1 ? group : "";
        const std::string label = all.size() > 1 ? file->place.label : group;
        auto plot = std::find_if(plots.begin(), plots.end(),
                                 [&](const auto& other) { return other.first == figure; });
        if (plot == plots.end()) {
          plot = plots.insert(plots.end(), {figure,
                                            {.title = title_of("Self-BLEU", figure),
                                             .x_title = "temperature",
                                             .y_title = "Self-BLEU",
                                             .series = {}}});
        }
        auto& series = plot->second.series;
        auto curve = std::find_if(series.begin(), series.end(),
                                  [&](const PlotSeries& other) { return other.label == label; });
        if (curve == series.end()) {
          const auto colour = static_cast<int>(series.size());
          curve = series.insert(curve, {.label = label, .points = {}, .colour = colour});
        }
        const auto value = point.at("self_bleu").get<double>();
        const double half = 1.96 * point.at("standard_error").get<double>();
        curve->points.emplace_back(point.at("temperature").get<double>(), value);
        curve->intervals.emplace_back(value - half, value + half);
      }
    });
  }
  for (const auto& [group, plot] : plots) {
    section.figure(plot,
                   "How alike the answers to one prompt are, with 95% intervals: 1 is all the "
                   "same. Higher temperatures should spread them; a model that answers facts the "
                   "same at every temperature has learnt where to be sure.");
  }
  return section;
}

Section win_rate_section(const RunFiles& files) {
  Section section("win-rates", "Win rates");
  for (const FigureFile* file : files.of(FigureKind::win_rate)) {
    section.figure(win_rate_plot(*file),
                   "Wins of all decided pairs, with 95% intervals. An interval that crosses the "
                   "dashed line at 50% shows no difference.");
  }
  return section;
}

Section red_team_section(const RunFiles& files) {
  Section section("red-team", "Red-teaming");
  const auto all = files.of(FigureKind::red_team);
  section.figure(red_team_plot(all),
                 "By category of the request, style of the attack and number of turns, with 95% "
                 "intervals. Lower is safer.");
  for (const FigureFile* file : all) {
    Table table{.header = {"part", "attacks", "violations", "rate", "95% interval"}, .rows = {}};
    read_figures(*file, [&](const ordered_json& figures) {
      for (const auto& [name, part] : figures.at("parts").items()) {
        const ordered_json& interval = part.at("interval");
        table.rows.push_back({name, whole_number(part.at("attacks").get<double>()),
                              whole_number(part.at("violations").get<double>()),
                              percent(part.at("rate").get<double>()),
                              fmt::format("{} to {}", percent(interval.at(0).get<double>()),
                                          percent(interval.at(1).get<double>()))});
      }
    });
    section.details("Every figure: " + file->place.name, plain_text(table));
  }
  return section;
}

Section likelihood_section(const RunFiles& files) {
  Section section("likelihood", "Perplexity and multiple choice");
  Table texts{
      .header = {"evaluation", "data", "tokens", "loss", "perplexity"}, .rows = {}, .names = 2};
  Table questions{.header = {"evaluation", "data", "questions", "accuracy", "by length", "chance"},
                  .rows = {},
                  .names = 2};
  for (const FigureFile* file : files.of(FigureKind::likelihood)) {
    read_figures(*file, [&](const ordered_json& list) {
      for (const ordered_json& of : list) {
        const std::string data = short_name(of.at("data").get<std::string>());
        if (of.contains("perplexity")) {
          texts.rows.push_back({file->place.name, data, whole_number(of.at("tokens").get<double>()),
                                number(of.at("loss").get<double>()),
                                number(of.at("perplexity").get<double>())});
        } else {
          questions.rows.push_back({file->place.name, data,
                                    whole_number(of.at("questions").get<double>()),
                                    percent(of.at("accuracy").get<double>()),
                                    percent(of.at("normalized_accuracy").get<double>()),
                                    percent(of.at("chance").get<double>())});
        }
      }
    });
  }
  if (!texts.empty()) section.table(texts, "Perplexity of texts");
  if (!questions.empty())
    section.table(questions, "Multiple choice: how often the likeliest choice is right");
  return section;
}

}  // namespace cria

// Ghost Attention: how long an instruction holds, by `cria gatt eval`.
#include "trainers/report/sections.h"

namespace cria {

namespace {

using nlohmann::ordered_json;

// `kinds`: trained or held_out.
Plot by_turn(const std::string& title, const ordered_json& figures, const char* kinds) {
  Plot plot{.title = title,
            .x_title = "turn of the dialogue",
            .y_title = "answers that follow (%)",
            .series = {}};
  int colour = 0;
  for (const ordered_json& model : figures.at("models")) {
    for (const char* telling : {"long_once", "every_turn"}) {
      const ordered_json& of = model.at("consistency");
      if (!of.contains(telling) || !of.at(telling).contains(kinds)) continue;
      const bool once = std::string(telling) == "long_once";
      PlotSeries series{.label = model.at("name").get<std::string>() +
                                 (once ? ", told once" : ", told every turn"),
                        .points = {},
                        .colour = colour,
                        .dashed = !once};
      double turn = 0;
      for (const ordered_json& share : of.at(telling).at(kinds).at("by_turn")) {
        ++turn;
        if (share.at("checked").get<int64_t>() == 0) continue;
        series.points.emplace_back(turn, 100 * share.at("share").get<double>());
      }
      plot.series.push_back(std::move(series));
    }
    ++colour;
  }
  return plot;
}

constexpr const char* kLateTurns = "10-20";

Plot by_kind(const std::string& title, const ordered_json& figures) {
  Plot plot{.title = title,
            .x_title = "answers that follow (%)",
            .y_title = "",
            .series = {},
            .x_range = {{0, 100}}};
  for (const ordered_json& model : figures.at("models")) {
    PlotSeries series{.label = model.at("name").get<std::string>() + ", told once",
                      .points = {},
                      .colour = static_cast<int>(plot.series.size()),
                      .joined = false};
    const ordered_json& of = model.at("consistency");
    if (!of.contains("long_once")) continue;
    for (const auto& [kind, ranges] : of.at("long_once").at("kinds").items()) {
      auto row = std::find(plot.row_names.begin(), plot.row_names.end(), kind);
      if (row == plot.row_names.end()) row = plot.row_names.insert(row, kind);
      const ordered_json& share = ranges.at(kLateTurns);
      const auto checked = share.at("checked").get<double>();
      if (checked == 0) continue;
      series.points.emplace_back(100 * share.at("share").get<double>(),
                                 static_cast<double>(row - plot.row_names.begin()));
      series.intervals.push_back(interval_of_share(share.at("share").get<double>(), checked));
    }
    plot.series.push_back(std::move(series));
  }
  return plot;
}

Table by_range(const ordered_json& figures) {
  Table table{.header = {"model", "told", "kinds"}, .rows = {}, .names = 3};
  for (const ordered_json& model : figures.at("models")) {
    for (const auto& [telling, of] : model.at("consistency").items()) {
      for (const char* kinds : {"trained", "held_out"}) {
        if (!of.contains(kinds)) continue;
        const bool is_first = table.rows.empty();
        std::vector<std::string> row = {model.at("name").get<std::string>(), telling, kinds};
        for (const auto& [range, share] : of.at(kinds).at("turns").items()) {
          if (is_first) table.header.push_back("turns " + range);
          row.push_back(share.at("checked").get<int64_t>() == 0
                            ? "-"
                            : percent(share.at("share").get<double>()));
        }
        for (size_t c = 1; c < 3; ++c) {
          for (char& letter : row[c]) {
            if (letter == '_') letter = ' ';
          }
        }
        table.rows.push_back(std::move(row));
      }
    }
  }
  return table;
}

}  // namespace

std::vector<Table> consistency_tables(const RunFiles& files) {
  std::vector<Table> tables;
  for (const FigureFile* file : files.of(FigureKind::consistency)) {
    read_figures(*file, [&](const ordered_json& figures) { tables.push_back(by_range(figures)); });
  }
  return tables;
}

Section consistency_section(const RunFiles& files) {
  Section section("ghost-attention", "Ghost Attention");
  const auto all = files.of(FigureKind::consistency);
  for (const FigureFile* file : all) {
    if (all.size() > 1) section.heading(file->place.name);
    read_figures(*file, [&](const ordered_json& figures) {
      section.figure(by_turn("Instructions followed, by turn", figures, "trained"),
                     "The instruction is given with the first question only (solid), or with "
                     "every one (dashed), which bounds what is to be expected from once.");
      section.figure(by_turn("Kinds never trained on", figures, "held_out"),
                     "The same for kinds of instructions that training has not seen.");
      section.figure(by_kind("Turns 10 to 20, by kind", figures),
                     "Told once, ten turns and more ago; with 95% intervals.");
      section.table(by_range(figures), "Share of answers that follow the instruction");
    });
  }
  return section;
}

}  // namespace cria

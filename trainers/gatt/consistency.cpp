#include "trainers/gatt/consistency.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

namespace cria {

namespace {

using nlohmann::ordered_json;

constexpr std::array<Telling, 3> kTellings = {Telling::long_once, Telling::short_once,
                                              Telling::every_turn};

size_t place(Telling telling) { return static_cast<size_t>(telling); }

std::string percent(const Share& share) {
  return share.checked == 0 ? "-" : fmt::format("{:.1f}%", 100 * share.value());
}

ordered_json to_json(const Share& share) {
  return {{"followed", share.followed}, {"checked", share.checked}, {"share", share.value()}};
}

// The kinds of some models, those held out or the others.
std::set<std::string> kinds_of(const std::vector<NamedConsistency>& models,
                               const std::set<std::string>& held_out, bool wanted) {
  std::set<std::string> kinds;
  for (const NamedConsistency& model : models) {
    for (const std::string& kind : model.figures.kinds()) {
      if (held_out.contains(kind) == wanted) kinds.insert(kind);
    }
  }
  return kinds;
}

std::string block(const std::vector<NamedConsistency>& models, const std::set<std::string>& kinds,
                  const std::string& title) {
  std::string text = fmt::format("{:<24} {:<11}", title, "told");
  for (const TurnRange& range : kTurnRanges) text += fmt::format(" {:>8}", range.name);
  text += "\n";
  for (const NamedConsistency& model : models) {
    for (const Telling telling : kTellings) {
      if (!model.figures.has(telling)) continue;
      text += fmt::format("{:<24} {:<11}", model.name, kTellingNames[place(telling)]);
      for (const TurnRange& range : kTurnRanges) {
        text += fmt::format(" {:>8}", percent(model.figures.in(telling, range, kinds)));
      }
      text += "\n";
    }
  }
  return text;
}

}  // namespace

void Consistency::add(Telling telling, const std::string& kind, int64_t turn, bool followed) {
  std::vector<Share>& turns = shares_[place(telling)][kind];
  if (static_cast<int64_t>(turns.size()) <= turn) turns.resize(static_cast<size_t>(turn) + 1);
  turns[static_cast<size_t>(turn)] += {.followed = followed, .checked = 1};
}

void Consistency::add_dropped(Telling telling, int64_t dropped_turns) {
  dropped_[place(telling)] += {.followed = dropped_turns > 0, .checked = 1};
}

bool Consistency::has(Telling telling) const { return !shares_[place(telling)].empty(); }

std::set<std::string> Consistency::kinds() const {
  std::set<std::string> kinds;
  for (const auto& telling : shares_) {
    for (const auto& [kind, turns] : telling) kinds.insert(kind);
  }
  return kinds;
}

int64_t Consistency::turns() const {
  size_t most = 0;
  for (const auto& telling : shares_) {
    for (const auto& [kind, turns] : telling) most = std::max(most, turns.size());
  }
  return static_cast<int64_t>(most);
}

Share Consistency::at(Telling telling, int64_t turn, const std::set<std::string>& kinds) const {
  Share sum;
  for (const auto& [kind, turns] : shares_[place(telling)]) {
    if (kinds.contains(kind) && turn < static_cast<int64_t>(turns.size())) {
      sum += turns[static_cast<size_t>(turn)];
    }
  }
  return sum;
}

Share Consistency::in(Telling telling, const TurnRange& range,
                      const std::set<std::string>& kinds) const {
  Share sum;
  for (int64_t turn = range.first - 1; turn < std::min(range.last, turns()); ++turn) {
    sum += at(telling, turn, kinds);
  }
  return sum;
}

double Consistency::answers_with_dropped_turns(Telling telling) const {
  return dropped_[place(telling)].value();
}

ordered_json Consistency::to_json(const std::set<std::string>& held_out) const {
  ordered_json all;
  for (const Telling telling : kTellings) {
    if (!has(telling)) continue;
    ordered_json& of = all[kTellingNames[place(telling)]];
    of["answers_with_dropped_turns"] = answers_with_dropped_turns(telling);
    for (const bool held : {false, true}) {
      std::set<std::string> kinds;
      for (const auto& [kind, of_turns] : shares_[place(telling)]) {
        if (held_out.contains(kind) == held) kinds.insert(kind);
      }
      if (kinds.empty()) continue;
      ordered_json& group = of[held ? "held_out" : "trained"];
      for (const TurnRange& range : kTurnRanges) {
        group["turns"][range.name] = cria::to_json(in(telling, range, kinds));
      }
      for (int64_t turn = 0; turn < turns(); ++turn) {
        group["by_turn"].push_back(cria::to_json(at(telling, turn, kinds)));
      }
    }
    for (const std::string& kind : kinds()) {
      for (const TurnRange& range : kTurnRanges) {
        of["kinds"][kind][range.name] = cria::to_json(in(telling, range, {kind}));
      }
    }
  }
  return all;
}

std::string consistency_table(const std::vector<NamedConsistency>& models,
                              const std::set<std::string>& held_out) {
  const std::set<std::string> trained = kinds_of(models, held_out, false);
  const std::set<std::string> others = kinds_of(models, held_out, true);
  std::string text;
  if (!trained.empty()) text += block(models, trained, "share that follows");
  if (!others.empty()) text += "\n" + block(models, others, "kinds never trained on");
  text += fmt::format("\n{:<24} {:<11}", "turns 10-20, by kind", "told");
  for (const auto* kinds : {&trained, &others}) {
    for (const std::string& kind : *kinds) text += fmt::format(" {:>10}", kind);
  }
  text += "\n";
  for (const NamedConsistency& model : models) {
    for (const Telling telling : kTellings) {
      if (!model.figures.has(telling)) continue;
      text += fmt::format("{:<24} {:<11}", model.name, kTellingNames[place(telling)]);
      for (const auto* kinds : {&trained, &others}) {
        for (const std::string& kind : *kinds) {
          text +=
              fmt::format(" {:>10}", percent(model.figures.in(telling, kTurnRanges[3], {kind})));
        }
      }
      text += "\n";
    }
  }
  return text;
}

Plot consistency_plot(const std::vector<NamedConsistency>& models,
                      const std::set<std::string>& held_out) {
  Plot plot{.title = "Answers that follow the instruction, by turn",
            .x_title = "turn",
            .y_title = "share of answers (%)",
            .series = {}};
  const std::set<std::string> trained = kinds_of(models, held_out, false);
  for (size_t m = 0; m < models.size(); ++m) {
    for (const Telling telling : {Telling::long_once, Telling::every_turn}) {
      PlotSeries series{
          .label = models[m].name +
                   (telling == Telling::long_once ? ", told once" : ", told every turn"),
          .points = {},
          .colour = static_cast<int>(m),
          .dashed = telling == Telling::every_turn};
      for (int64_t turn = 0; turn < models[m].figures.turns(); ++turn) {
        const Share share = models[m].figures.at(telling, turn, trained);
        if (share.checked > 0) {
          series.points.emplace_back(static_cast<double>(turn + 1), 100 * share.value());
        }
      }
      if (!series.points.empty()) plot.series.push_back(std::move(series));
    }
  }
  return plot;
}

}  // namespace cria

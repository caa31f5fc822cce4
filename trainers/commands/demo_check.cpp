// cria demo-check: what answers to the demo world's questions are worth, by kind.
#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "cria/data/json_lines.h"
#include "cria/demo_world/checker.h"
#include "cria/io/atomic_directory.h"
#include "cria/io/file.h"

#include "trainers/commands/commands.h"
#include "trainers/evaluation/demo_questions.h"

namespace cria {

namespace {

using nlohmann::json;

struct CheckOptions {
  std::string answers;
  std::vector<std::string> questions;
  std::string output;
  std::vector<std::string> before;
};

// Sums over the answers to one kind of question.
struct Figures {
  int64_t answers = 0, right = 0, safe = 0;
  double correctness = 0, score = 0;
  std::array<int64_t, demo::kMannerNames.size()> manners{};

  void add(const demo::Judgement& judgement) {
    ++answers;
    right += judgement.right();
    safe += judgement.safe;
    correctness += judgement.correctness;
    score += judgement.score();
    ++manners[static_cast<size_t>(judgement.manner)];
  }

  double share(double sum) const { return sum / static_cast<double>(answers); }

  json to_json() const {
    json by_manner;
    for (size_t i = 0; i < manners.size(); ++i) {
      by_manner[std::string(demo::kMannerNames[i])] = share(static_cast<double>(manners[i]));
    }
    return {{"answers", answers},
            {"right", share(static_cast<double>(right))},
            {"safe", share(static_cast<double>(safe))},
            {"correctness", share(correctness)},
            {"score", share(score)},
            {"manner", by_manner}};
  }
};

std::string answer_of(const json& line, const std::string& where) {
  const auto found = line.find("completion");
  if (found == line.end() || !found->is_string()) {
    throw input_error(where, "no answer in the line", "give 'completion', as cria generate does");
  }
  return found->get<std::string>();
}

std::string row(const std::string& kind, const Figures& figures) {
  std::string line = fmt::format("{:<10} {:>7} {:>6.1f}% {:>11.3f} {:>6.3f}", kind, figures.answers,
                                 100 * figures.share(static_cast<double>(figures.right)),
                                 figures.share(figures.correctness), figures.share(figures.score));
  for (const int64_t count : figures.manners) {
    line += fmt::format(" {:>7.1f}%", 100 * figures.share(static_cast<double>(count)));
  }
  return line + "\n";
}

json read_figures(const std::string& path) {
  json figures = json::parse(read_file(path), nullptr, /*allow_exceptions=*/false);
  if (figures.is_object() && figures.contains("all") && figures.contains("kinds")) return figures;
  throw input_error(path, "not the figures of demo-check", "give a file that its --output wrote");
}

// How a kind of question fares from one stage to the next: the share right, with its standard
// error.
std::string comparison(std::vector<std::pair<std::string, json>> stages) {
  std::string text = fmt::format("\n{:<10}", "right");
  for (const auto& [name, figures] : stages) text += fmt::format(" {:>16}", name);
  const auto line = [&](const std::string& kind, const auto& part) {
    text += fmt::format("\n{:<10}", kind);
    for (const auto& [name, figures] : stages) {
      const json& of = part(figures);
      const double right = of.value("right", 0.0);
      const double error = std::sqrt(right * (1 - right) / of.value("answers", 1.0));
      text += fmt::format(" {:>9.1f} ± {:<4.1f}", 100 * right, 100 * error);
    }
  };
  for (const std::string_view kind : demo::kKindNames) {
    const bool everywhere = std::all_of(stages.begin(), stages.end(), [&](const auto& stage) {
      return stage.second["kinds"].contains(std::string(kind));
    });
    if (!everywhere) continue;
    line(std::string(kind),
         [&](const json& figures) -> const json& { return figures["kinds"][std::string(kind)]; });
  }
  line("all", [](const json& figures) -> const json& { return figures["all"]; });
  return text + "\n";
}

// runs/demo/ppo.figures.json is of the stage "ppo".
std::string stage_name(const std::string& path) {
  std::string name = std::filesystem::path(path).filename().string();
  return name.substr(0, name.find('.'));
}

void run(const CheckOptions& options) {
  const DemoQuestions questions = read_demo_questions(options.questions);
  std::array<Figures, demo::kKindNames.size()> by_kind;
  Figures all;
  JsonLines lines(options.answers);
  for (json line; lines.next(line);) {
    if (!line.is_object()) throw input_error(lines.where(), "the line is no JSON object");
    const demo::Question question = demo_question_for(line, questions, lines.where());
    const demo::Judgement judgement = demo::judge(question, answer_of(line, lines.where()));
    by_kind[static_cast<size_t>(question.kind)].add(judgement);
    all.add(judgement);
  }
  if (all.answers == 0) throw input_error(options.answers, "no answers in the file");

  std::string table = fmt::format("{:<10} {:>7} {:>7} {:>11} {:>6}", "kind", "answers", "right",
                                  "correctness", "score");
  for (const std::string_view manner : demo::kMannerNames) table += fmt::format(" {:>8}", manner);
  table += "\n";
  json report = {{"all", all.to_json()}};
  for (size_t kind = 0; kind < by_kind.size(); ++kind) {
    if (by_kind[kind].answers == 0) continue;
    const std::string name(demo::kKindNames[kind]);
    table += row(name, by_kind[kind]);
    report["kinds"][name] = by_kind[kind].to_json();
  }
  fmt::print("{}", table + row("all", all));
  if (!options.output.empty()) write_file_atomically(options.output, report.dump(2) + "\n");
  if (options.before.empty()) return;
  std::vector<std::pair<std::string, json>> stages;
  for (const std::string& path : options.before) {
    stages.emplace_back(stage_name(path), read_figures(path));
  }
  stages.emplace_back(stage_name(options.answers), report);
  fmt::print("{}", comparison(std::move(stages)));
}

}  // namespace

void add_demo_check_command(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("demo-check", "score answers to questions of the demo's small world");
  auto options = std::make_shared<CheckOptions>();
  command->add_option("--answers", options->answers, "JSON Lines with completions")->required();
  command->add_option("--questions", options->questions,
                      "the files that the prompts came from, where the answers do not say what is "
                      "right themselves");
  command->add_option("--output", options->output, "JSON file to write the figures to");
  command->add_option("--before", options->before,
                      "figures of earlier stages, to set the share right beside");
  command->callback([options] { run(*options); });
}

}  // namespace cria

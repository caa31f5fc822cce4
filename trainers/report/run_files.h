// What a report is made from: the runs, figures, answers and pictures below some paths, told apart
// by what they hold, never by their names alone.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

namespace cria {

// In the order of the recipe.
enum class RunKind { pretrain, sft, reward, rejection, dpo, ppo, gatt, distill, rlhf };
inline constexpr std::array<const char*, 9> kRunKindNames = {
    "pretrain", "sft", "reward", "rejection", "dpo", "ppo", "gatt", "distill", "rlhf"};

// Where a run or a file stands among the others. Runs within a run of iterations or of scaling
// belong together: V1/reward_safety … V5/reward_safety are curves of one figure.
struct Place {
  std::string name;   // rlhf/V1/reward_safety: its path below the one that was given
  std::string group;  // rlhf/reward_safety; empty for what stands alone
  std::string label;  // V1: within its group; without one the name
};

struct Run {
  Place place;
  std::string directory;
  RunKind kind = RunKind::sft;
  std::string config;                   // config.yaml as it stands
  std::vector<nlohmann::json> metrics;  // a line each
  nlohmann::ordered_json environment;   // environment.json; null without one

  // (step, figure) of the lines that have it; null, which is what is not finite, is left out.
  std::vector<std::pair<double, double>> curve(const std::string& figure) const;
  // The last value, or NaN.
  double last(const std::string& figure) const;
  double first(const std::string& figure) const;
};

// What kind of figures a JSON file holds, by who writes it.
enum class FigureKind {
  preferences,   // evaluation.json of a reward model, eval preferences
  scaling,       // reward-scaling: scaling.json
  best_of_n,     // rejection: best_of_n.json
  iterations,    // rlhf: report.json
  rewards,       // eval rewards
  consistency,   // gatt eval
  self_bleu,     // eval self-bleu
  win_rate,      // eval win-rate
  red_team,      // eval red-team
  likelihood,    // eval perplexity, eval multiple-choice
  demo_answers,  // demo-check
};

struct FigureFile {
  Place place;
  std::string path;
  FigureKind kind = FigureKind::preferences;
  nlohmann::ordered_json json;
};

// An SVG whose figures the report does not draw itself: attention, distillation, studies.
struct Picture {
  Place place;
  std::string path;  // of the SVG
  std::string title, caption;
};

// What `cria generate` wrote.
struct AnswerFile {
  Place place;
  std::string path;
};

struct RunFiles {
  std::vector<Run> runs;
  std::vector<FigureFile> figures;
  std::vector<Picture> pictures;
  std::vector<AnswerFile> answers;

  std::vector<const FigureFile*> of(FigureKind kind) const;
  std::vector<const Run*> of(RunKind kind) const;
};

// Looks through directories, and takes files as they are; in the order of the recipe. An input
// Error names a path that is not there, holds nothing, or a file (with its line) that is broken.
RunFiles find_run_files(const std::vector<std::string>& paths);

}  // namespace cria

#include "trainers/reward_scaling.h"

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include <spdlog/spdlog.h>

#include "cria/io/atomic_directory.h"
#include "cria/io/checkpoint.h"
#include "cria/io/file.h"
#include "cria/io/hugging_face.h"
#include "cria/report/plot.h"

#include "trainers/reward.h"

namespace cria {

namespace {

using nlohmann::ordered_json;

// A recipe as read, for one run.
struct RewardRecipe {
  RewardConfig config;
  ConfigSchema schema;

  explicit RewardRecipe(const RewardScalingOptions& options) {
    declare(schema, config);
    if (!options.recipe.empty()) schema.read_file(options.recipe);
    for (const std::string& assignment : options.assignments) schema.set(assignment);
  }

  void set(const std::string& key, const ordered_json& value) {
    schema.set(key + "=" + value.dump());
  }
};

// What is known of a finished run.
struct ScalingPoint {
  std::string model;  // the directory it started from
  double share = 0;
  int64_t parameters = 0;
  int64_t pairs = 0;        // trained on
  ordered_json evaluation;  // evaluation.json

  double accuracy() const { return evaluation.at("parts").at("all").at("accuracy").get<double>(); }
};

void check(const RewardScalingOptions& options, const RewardConfig& config) {
  for (const double share : options.shares) {
    if (!(share > 0 && share <= 1)) {
      throw input_error("--shares", fmt::format("{} is no share", share), "above 0, at most 1");
    }
  }
  if (options.shares.empty()) throw input_error("--shares", "none is given");
  if (config.training.max_steps || config.training.num_train_epochs.value_or(1) > 1) {
    throw input_error("training.num_train_epochs", "shares are parts of one epoch",
                      "give num_train_epochs of at most 1, and no max_steps");
  }
  if (config.data.eval.empty()) {
    throw input_error("data.eval", "names no file", "runs are compared on it");
  }
}

ScalingPoint read_point(const std::string& model, double share, const RewardConfig& config) {
  const std::string& run = config.training.output_dir;
  const std::optional<std::string> checkpoint = latest_checkpoint(run);
  if (!checkpoint) throw failure(run, "holds no checkpoint of its run");
  const auto steps = read_trainer_state(*checkpoint).at("step").get<int64_t>();
  return {.model = model,
          .share = share,
          .parameters = ParameterLayout(read_model_config(run + "/final")).parameter_count(),
          .pairs = steps * config.training.train_batch_size,
          .evaluation = ordered_json::parse(read_file(run + "/evaluation.json"))};
}

// One curve for each value of what `name_of` tells apart.
template <typename NameOf, typename X>
std::vector<PlotSeries> curves_of(const std::vector<ScalingPoint>& points, const NameOf& name_of,
                                  const X& x) {
  std::vector<PlotSeries> curves;
  for (const ScalingPoint& point : points) {
    const std::string name = name_of(point);
    auto curve = std::find_if(curves.begin(), curves.end(),
                              [&](const PlotSeries& other) { return other.label == name; });
    if (curve == curves.end()) {
      const PlotSeries fresh{
          .label = name, .points = {}, .colour = static_cast<int>(curves.size())};
      curve = curves.insert(curves.end(), fresh);
    }
    curve->points.emplace_back(static_cast<double>(x(point)), point.accuracy());
  }
  return curves;
}

std::string table_of(const std::vector<ScalingPoint>& points) {
  std::string text = fmt::format("{:>12} {:>7} {:>9} {:>9} {:>8} {:>12}  model\n", "parameters",
                                 "share", "pairs", "accuracy", "margin", "calibration");
  for (const ScalingPoint& point : points) {
    const ordered_json& all = point.evaluation.at("parts").at("all");
    text += fmt::format("{:>12} {:>7} {:>9} {:>8.1f}% {:>8.3f} {:>12.3f}  {}\n", point.parameters,
                        point.share, point.pairs, 100 * point.accuracy(),
                        all.at("margin").get<double>(), all.at("calibration_error").get<double>(),
                        point.model);
  }
  return text;
}

void write_report(const std::string& directory, const std::vector<ScalingPoint>& points) {
  ordered_json list = ordered_json::array();
  for (const ScalingPoint& point : points) {
    list.push_back({{"model", point.model},
                    {"parameters", point.parameters},
                    {"share", point.share},
                    {"pairs", point.pairs},
                    {"evaluation", point.evaluation}});
  }
  const std::string table = table_of(points);
  write_file_atomically(directory + "/scaling.json", list.dump(2) + "\n");
  write_file_atomically(directory + "/scaling.txt", table);
  spdlog::info("reward models by data and size\n{}", table);

  Plot plot{.title = "Reward model accuracy by data",
            .x_title = "pairs",
            .y_title = "accuracy",
            .series = curves_of(
                points, [](const ScalingPoint& point) { return point.model; },
                [](const ScalingPoint& point) { return point.pairs; }),
            .logarithmic_x = true};
  write_file_atomically(directory + "/accuracy_by_data.svg", render_svg(plot));
  if (points.front().model == points.back().model) return;
  plot.title = "Reward model accuracy by size";
  plot.x_title = "parameters";
  plot.series = curves_of(
      points, [](const ScalingPoint& point) { return fmt::format("share {}", point.share); },
      [](const ScalingPoint& point) { return point.parameters; });
  write_file_atomically(directory + "/accuracy_by_size.svg", render_svg(plot));
}

}  // namespace

int reward_scaling(const RewardScalingOptions& options) {
  const RewardRecipe recipe(options);
  check(options, recipe.config);
  const std::string& directory = recipe.config.training.output_dir;
  const double epochs = recipe.config.training.num_train_epochs.value_or(1);
  std::vector<std::string> models = options.models;
  if (models.empty()) models.push_back(recipe.config.model.path);
  std::vector<ScalingPoint> points;
  for (size_t m = 0; m < models.size(); ++m) {
    for (const double share : options.shares) {
      RewardRecipe run(options);
      run.set("model.path", models[m]);
      run.set("training.num_train_epochs", share * epochs);
      run.set("training.output_dir", fmt::format("{}/model{}-share{}", directory, m + 1, share));
      run.schema.check();
      const int exit_code = reward(run.config, run.schema.print());
      if (exit_code != 0) return exit_code;
      points.push_back(read_point(models[m], share, run.config));
    }
  }
  if (make_communicator()->is_root()) write_report(directory, points);
  return 0;
}

}  // namespace cria

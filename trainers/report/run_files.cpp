#include "trainers/report/run_files.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <optional>
#include <set>

#include <yaml-cpp/yaml.h>

#include "cria/data/json_lines.h"
#include "cria/io/file.h"

namespace cria {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::uintmax_t kLargestJson = 64u << 20;

// Numbers within names by their value: V10 after V9.
bool natural_less(const std::string& a, const std::string& b) {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  size_t i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    if (!is_digit(a[i]) || !is_digit(b[j])) {
      if (a[i] != b[j]) return a[i] < b[j];
      ++i;
      ++j;
      continue;
    }
    size_t end_a = i, end_b = j;
    while (end_a < a.size() && is_digit(a[end_a])) ++end_a;
    while (end_b < b.size() && is_digit(b[end_b])) ++end_b;
    const double value_a = std::strtod(a.substr(i, end_a - i).c_str(), nullptr);
    const double value_b = std::strtod(b.substr(j, end_b - j).c_str(), nullptr);
    if (value_a != value_b) return value_a < value_b;
    i = end_a;
    j = end_b;
  }
  return a.size() - i < b.size() - j;
}

// The JSON of a file; an input Error names the line where it is broken.
ordered_json read_json(const std::string& path) {
  const std::string text = read_file(path);
  try {
    return ordered_json::parse(text);
  } catch (const json::parse_error& error) {
    const auto end = text.begin() + static_cast<std::ptrdiff_t>(std::min(error.byte, text.size()));
    throw input_error(fmt::format("{}:{}", path, 1 + std::count(text.begin(), end, '\n')),
                      "the file is not valid JSON", "make it again");
  }
}

bool has_keys(const ordered_json& value, std::initializer_list<const char*> keys) {
  return value.is_object() && std::all_of(keys.begin(), keys.end(),
                                          [&](const char* key) { return value.contains(key); });
}

std::optional<FigureKind> kind_of(const ordered_json& value) {
  if (value.is_array()) {
    if (value.empty()) return std::nullopt;
    if (has_keys(value[0], {"parameters", "share", "evaluation"})) return FigureKind::scaling;
    if (has_keys(value[0], {"data", "perplexity"})) return FigureKind::likelihood;
    if (has_keys(value[0], {"data", "accuracy", "chance"})) return FigureKind::likelihood;
    return std::nullopt;
  }
  if (has_keys(value, {"first", "second", "judge", "parts"})) return FigureKind::win_rate;
  if (has_keys(value, {"model", "styles", "judge", "parts"})) return FigureKind::red_team;
  if (has_keys(value, {"parts", "calibration"})) return FigureKind::preferences;
  if (has_keys(value, {"num_samples", "by_temperature"})) return FigureKind::best_of_n;
  if (has_keys(value, {"iterations"}) && value["iterations"].is_array()) {
    return FigureKind::iterations;
  }
  if (has_keys(value, {"models", "scores"})) return FigureKind::rewards;
  if (has_keys(value, {"tokens", "points"})) return FigureKind::self_bleu;
  if (has_keys(value, {"all", "kinds"})) return FigureKind::demo_answers;
  if (has_keys(value, {"models"}) && value["models"].is_array() && !value["models"].empty() &&
      has_keys(value["models"][0], {"name", "consistency"})) {
    return FigureKind::consistency;
  }
  return std::nullopt;
}

std::vector<json> read_metrics(const std::string& path) {
  std::vector<json> metrics;
  JsonLines lines(path);
  for (json line; lines.next(line);) {
    if (!line.is_object() || !line.contains("step") || !line["step"].is_number()) {
      throw input_error(lines.where(), "the line has no 'step'", "remove it, or the file");
    }
    metrics.push_back(std::move(line));
  }
  return metrics;
}

// Pretraining alone fills every row of every step (data/pretraining_data): its config has the keys
// of fine-tuning, its tokens are the rows' lengths exactly.
bool fills_every_row(const YAML::Node& config, const std::vector<json>& metrics) {
  const YAML::Node training = config["training"], data = config["data"];
  if (!training || !training.IsMap() || !data || !data.IsMap()) return false;
  const auto rows = training["train_batch_size"].as<double>(0);
  const auto length = data["max_length"].as<double>(0);
  bool any = false;
  for (const json& line : metrics) {
    if (!line.contains("num_tokens") || !line["num_tokens"].is_number()) continue;
    any = true;
    if (line["num_tokens"].get<double>() != line["step"].get<double>() * rows * length)
      return false;
  }
  return any;
}

RunKind kind_of_run(const std::string& config_text, const std::vector<json>& metrics,
                    const std::string& path) {
  YAML::Node config;
  try {
    config = YAML::Load(config_text);
  } catch (const YAML::Exception& error) {
    throw input_error(fmt::format("{}:{}", path, error.mark.line + 1), error.msg);
  }
  if (!config.IsMap()) return RunKind::sft;
  const std::pair<const char*, RunKind> groups[] = {
      {"reward", RunKind::reward}, {"rejection", RunKind::rejection},
      {"dpo", RunKind::dpo},       {"ppo", RunKind::ppo},
      {"gatt", RunKind::gatt},     {"distill", RunKind::distill}};
  for (const auto& [group, kind] : groups) {
    if (config[group]) return kind;
  }
  return fills_every_row(config, metrics) ? RunKind::pretrain : RunKind::sft;
}

class Finder {
 public:
  explicit Finder(std::vector<std::string> paths) : paths_(std::move(paths)) {}

  RunFiles find() {
    for (const std::string& path : paths_) {
      const size_t before = count();
      root_ = fs::path(path).lexically_normal();
      if (!root_.has_filename()) root_ = root_.parent_path();
      if (fs::is_directory(root_)) {
        look_through(root_, std::nullopt);
      } else if (fs::exists(root_)) {
        take_file(root_, place_of(stem_of(root_), std::nullopt), /*given=*/true);
      } else {
        throw input_error(path, "there is no such file or directory");
      }
      if (count() == before) {
        throw input_error(path, "holds nothing to report on",
                          "give the directory of a run, or what `cria eval --output` wrote");
      }
    }
    put_in_order();
    return std::move(files_);
  }

 private:
  size_t count() const {
    return files_.runs.size() + files_.figures.size() + files_.pictures.size() +
           files_.answers.size();
  }

  static std::string stem_of(const fs::path& path) {
    std::string name = path.filename().string();
    return name.substr(0, name.rfind('.'));
  }

  // The run of iterations or of scaling that something lies in.
  struct Container {
    std::string name;
    std::string prefix;  // of the names of all that lies in it
  };

  static Place place_of(const std::string& name, const std::optional<Container>& container) {
    Place place{.name = name, .group = {}, .label = name};
    if (!container || !name.starts_with(container->prefix)) return place;
    // V1/reward_safety of rlhf: curve V1 of the figure "rlhf/reward_safety".
    const std::string inner = name.substr(container->prefix.size());
    const size_t slash = inner.find('/');
    place.label = inner.substr(0, slash);
    place.group = container->name + (slash == std::string::npos ? "" : inner.substr(slash));
    return place;
  }

  // The last part of a path, or where another path ends alike the whole of it.
  std::string name_of(const fs::path& root) const {
    const auto last = [](const fs::path& path) {
      fs::path whole = fs::absolute(path).lexically_normal();
      if (!whole.has_filename()) whole = whole.parent_path();
      return whole.filename().string();
    };
    const auto ends_alike = std::count_if(
        paths_.begin(), paths_.end(), [&](const auto& path) { return last(path) == last(root); });
    return ends_alike > 1 ? root.string() : last(root);
  }

  std::string name_below_root(const fs::path& path) const {
    const std::string relative = path.lexically_relative(root_).string();
    if (relative == ".") return name_of(root_);
    return paths_.size() > 1 ? name_of(root_) + "/" + relative : relative;
  }

  static bool is_model_or_state(const fs::path& path) {
    const std::string name = path.filename().string();
    return name.starts_with("checkpoint-") || name.starts_with('.') || name == "tensorboard" ||
           fs::exists(path / "model.safetensors") ||
           fs::exists(path / "model.safetensors.index.json");
  }

  void look_through(const fs::path& directory, std::optional<Container> container) {
    const std::string name = name_below_root(directory);
    const bool has_metrics = fs::exists(directory / "metrics.jsonl");
    const bool has_ledger = fs::exists(directory / "ledger.json");
    const std::optional<Container> outer = container;
    if (has_metrics || has_ledger) add_run(directory, place_of(name, container));
    if (has_ledger || fs::exists(directory / "scaling.json")) {
      const bool is_only_root = directory == root_ && paths_.size() == 1;
      container = {.name = name, .prefix = is_only_root ? "" : name + "/"};
    }
    std::vector<fs::path> entries;
    for (const auto& entry : fs::directory_iterator(directory)) entries.push_back(entry.path());
    std::sort(entries.begin(), entries.end());
    for (const fs::path& entry : entries) {
      if (fs::is_directory(entry)) {
        if (!fs::is_symlink(entry) && !is_model_or_state(entry)) look_through(entry, container);
        continue;
      }
      // What a run says of itself has its name.
      const std::string file = entry.filename().string();
      const bool is_of_run = file == "evaluation.json" || file == "best_of_n.json" ||
                             file == "report.json" || file == "scaling.json";
      const std::string below = name_below_root(entry);
      take_file(entry, place_of(is_of_run ? name : below.substr(0, below.rfind('.')), outer),
                /*given=*/false);
    }
  }

  void add_run(const fs::path& directory, Place place) {
    Run run{
        .place = std::move(place), .directory = directory.string(), .config = {}, .metrics = {}};
    const std::string metrics = (directory / "metrics.jsonl").string();
    const std::string config = (directory / "config.yaml").string();
    if (fs::exists(metrics)) run.metrics = read_metrics(metrics);
    if (fs::exists(config)) run.config = read_file(config);
    run.kind = fs::exists(directory / "ledger.json") ? RunKind::rlhf
                                                     : kind_of_run(run.config, run.metrics, config);
    const std::string environment = (directory / "environment.json").string();
    if (fs::exists(environment)) run.environment = read_json(environment);
    files_.runs.push_back(std::move(run));
  }

  // `given`: named on the command line, so that it must be of use.
  void take_file(const fs::path& path, Place place, bool given) {
    const std::string extension = path.extension().string();
    if (extension == ".json" && fs::file_size(path) <= kLargestJson) {
      take_json(path, std::move(place), given);
    } else if (extension == ".svg") {
      take_picture(path, std::move(place));
    } else if (extension == ".jsonl" && path.filename() != "metrics.jsonl") {
      if (holds_answers(path)) files_.answers.push_back({std::move(place), path.string()});
    }
  }

  void take_json(const fs::path& path, Place place, bool given) {
    ordered_json value = read_json(path.string());
    const std::optional<FigureKind> kind = kind_of(value);
    if (kind) {
      files_.figures.push_back({std::move(place), path.string(), *kind, std::move(value)});
      return;
    }
    if (given) {
      throw input_error(path.string(), "holds no figures that a report knows",
                        "give what `cria eval --output` wrote");
    }
  }

  // A picture that the report does not draw itself, from the figures beside it.
  void take_picture(const fs::path& path, Place place) {
    const std::string name = path.filename().string();
    const auto has = [&](const char* file) { return fs::exists(path.parent_path() / file); };
    if (name == "rewards.svg" && has("report.json")) return;
    if (name.starts_with("accuracy_by_") && has("scaling.json")) return;
    fs::path figures = path;
    figures.replace_extension(".json");
    Picture picture{.place = std::move(place), .path = path.string(), .title = {}, .caption = {}};
    picture.title = picture.place.name;
    picture.caption = fmt::format("Drawn by {}.", picture.place.name);
    if (fs::exists(figures)) {
      const ordered_json value = read_json(figures.string());
      if (kind_of(value)) return;
      const auto take = [&](const char* key, std::string& text) {
        if (has_keys(value, {key}) && value[key].is_string()) text = value[key].get<std::string>();
      };
      if (is_attention(value)) {
        picture.caption =
            "The largest weight over heads and layers that generated tokens (rows) give to the "
            "tokens of the dialogue (columns). A model that holds on to an instruction still looks "
            "at it many turns later.";
      }
      take("title", picture.title);
      take("caption", picture.caption);
    } else if (name == "before_after.svg") {
      picture.caption =
          "Context distillation: each prompt's answer without a pre-prompt and with one, by the "
          "safety reward model. Those above the diagonal are learnt.";
    } else if (has("study.json")) {
      picture.caption = "A study: the same training on each of its variants of the data.";
    }
    files_.pictures.push_back(std::move(picture));
  }

  // Of `cria gatt attention`.
  static bool is_attention(const ordered_json& value) {
    return has_keys(value, {"models"}) && value["models"].is_array() && !value["models"].empty() &&
           has_keys(value["models"][0], {"tokens", "attention"});
  }

  // Answers of `cria generate`, and no data to train on, which may have completions too.
  static bool holds_answers(const fs::path& path) {
    LineReader reader(path.string());
    std::string line;
    if (!reader.next(line)) return false;
    const json first = json::parse(line, nullptr, /*allow_exceptions=*/false);
    return first.is_object() && first.contains("completion") && first.contains("sample") &&
           first.contains("finished_by_eos") && !first.contains("score") &&
           (first.contains("prompt") || first.contains("messages"));
  }

  void put_in_order() {
    const auto less = [](const Place& a, const Place& b) { return natural_less(a.name, b.name); };
    // Runs of iterations after what they began with, those of one group together.
    std::stable_sort(files_.runs.begin(), files_.runs.end(), [&](const Run& a, const Run& b) {
      const auto rank = [](const Run& run) {
        const bool is_inner = !run.place.group.empty();
        return std::pair(is_inner ? RunKind::rlhf : run.kind,
                         is_inner ? run.kind : RunKind::pretrain);
      };
      if (rank(a).first != rank(b).first) return rank(a).first < rank(b).first;
      if (a.place.group.empty() != b.place.group.empty()) return a.place.group.empty();
      if (rank(a).second != rank(b).second) return rank(a).second < rank(b).second;
      if (a.place.group != b.place.group) return a.place.group < b.place.group;
      return less(a.place, b.place);
    });
    const auto stage = [&](const Place& place) { return stage_of(place.name); };
    const auto by_stage = [&](const auto& a, const auto& b) {
      if (stage(a.place) != stage(b.place)) return stage(a.place) < stage(b.place);
      return less(a.place, b.place);
    };
    std::stable_sort(files_.figures.begin(), files_.figures.end(), by_stage);
    std::stable_sort(files_.answers.begin(), files_.answers.end(), by_stage);
    std::stable_sort(files_.pictures.begin(), files_.pictures.end(),
                     [&](const auto& a, const auto& b) { return less(a.place, b.place); });
  }

  // Files come in the order of the runs that they are named after: sft.t0 and red_team.sft are of
  // the run sft.
  size_t stage_of(const std::string& name) const {
    for (size_t i = 0; i < files_.runs.size(); ++i) {
      const std::string& run = files_.runs[i].place.name;
      if (name == run || name.starts_with(run + ".") || name.starts_with(run + "/") ||
          name.ends_with("." + run)) {
        return i;
      }
    }
    return files_.runs.size();
  }

  const std::vector<std::string> paths_;
  fs::path root_;
  RunFiles files_;
};

}  // namespace

std::vector<std::pair<double, double>> Run::curve(const std::string& figure) const {
  std::vector<std::pair<double, double>> points;
  for (const json& line : metrics) {
    const auto found = line.find(figure);
    if (found == line.end() || !found->is_number()) continue;
    points.emplace_back(line["step"].get<double>(), found->get<double>());
  }
  return points;
}

double Run::last(const std::string& figure) const {
  const auto points = curve(figure);
  return points.empty() ? std::numeric_limits<double>::quiet_NaN() : points.back().second;
}

double Run::first(const std::string& figure) const {
  const auto points = curve(figure);
  return points.empty() ? std::numeric_limits<double>::quiet_NaN() : points.front().second;
}

std::vector<const FigureFile*> RunFiles::of(FigureKind kind) const {
  std::vector<const FigureFile*> found;
  for (const FigureFile& file : figures) {
    if (file.kind == kind) found.push_back(&file);
  }
  return found;
}

std::vector<const Run*> RunFiles::of(RunKind kind) const {
  std::vector<const Run*> found;
  for (const Run& run : runs) {
    if (run.kind == kind) found.push_back(&run);
  }
  return found;
}

RunFiles find_run_files(const std::vector<std::string>& paths) { return Finder(paths).find(); }

}  // namespace cria

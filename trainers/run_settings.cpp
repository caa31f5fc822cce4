#include "trainers/run_settings.h"

#include <array>
#include <map>

#include <yaml-cpp/yaml.h>

#include "cria/core/error.h"

namespace cria {

namespace {

// What may differ: exact keys, or whole groups ending in a dot.
constexpr std::array<std::string_view, 10> kChangeable = {"checkpoint.",
                                                          "logging.",
                                                          "data.eval",
                                                          "training.stop_at_step",
                                                          "training.output_dir",
                                                          "training.eval_steps",
                                                          "training.device",
                                                          "training.recompute",
                                                          "training.micro_batch_tokens",
                                                          "preferences.rating_command"};

bool may_change(const std::string& key) {
  for (const std::string_view pattern : kChangeable) {
    if (pattern.back() == '.' ? key.starts_with(pattern) : key == pattern) return true;
  }
  return false;
}

void flatten(const YAML::Node& node, const std::string& path,
             std::map<std::string, std::string>& values) {
  if (!node.IsMap()) {
    values[path] = YAML::Dump(node);
    return;
  }
  for (const auto& entry : node) {
    const auto name = entry.first.as<std::string>();
    flatten(entry.second, path.empty() ? name : path + "." + name, values);
  }
}

}  // namespace

void check_same_settings(const std::string& checkpoint, const std::string& saved,
                         const std::string& current) {
  std::map<std::string, std::string> before;
  std::map<std::string, std::string> now;
  flatten(YAML::Load(saved), "", before);
  flatten(YAML::Load(current), "", now);
  for (const auto& [key, value] : now) {
    const auto old = before.find(key);
    if (may_change(key) || (old != before.end() && old->second == value)) continue;
    throw input_error(key,
                      fmt::format("{} was trained with {}, this run has {}", checkpoint,
                                  old == before.end() ? "no such key" : old->second, value),
                      "use the same setting, or another training.output_dir for a new run");
  }
}

}  // namespace cria

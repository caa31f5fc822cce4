#include "trainers/recipe_sections.h"

#include "cria/core/error.h"
#include "cria/io/file.h"

namespace cria {

namespace {

std::string text_of(const YAML::Node& value) {
  if (!value.IsScalar()) return YAML::Dump(value);
  const std::string& text = value.Scalar();
  return value.Tag() == "!" ? nlohmann::json(text).dump() : text;  // quoted, or plain
}

}  // namespace

YAML::Node read_recipe(const std::string& path) {
  YAML::Node root;
  try {
    root = YAML::Load(read_file(path));
  } catch (const YAML::Exception& error) {
    throw input_error(fmt::format("{}:{}", path, error.mark.line + 1),
                      "not valid YAML: " + error.msg);
  }
  if (!root.IsMap()) throw input_error(path, "expected keys with values");
  return root;
}

std::string place_in(const std::string& path, const YAML::Node& node) {
  return fmt::format("{}:{}", path, node.Mark().line + 1);
}

void read_section(ConfigSchema& schema, const YAML::Node& map, const std::string& group,
                  const std::string& path,
                  const std::function<bool(const std::string&)>& left_out) {
  for (const auto& entry : map) {
    const std::string name = entry.first.IsScalar() ? entry.first.Scalar() : "";
    if (left_out && left_out(name)) continue;
    const std::string key = group.empty() ? name : group + "." + name;
    if (entry.second.IsMap()) {
      read_section(schema, entry.second, key, path);
      continue;
    }
    const std::string assignment = key + "=" + text_of(entry.second);
    try {
      schema.set(assignment);
    } catch (const Error& error) {
      std::string problem = error.what();
      const std::string front = "--set " + assignment + ": ";
      if (problem.starts_with(front)) problem.erase(0, front.size());
      throw input_error(place_in(path, entry.first), problem);
    }
  }
}

}  // namespace cria

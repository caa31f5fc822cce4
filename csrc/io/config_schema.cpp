#include "cria/io/config_schema.h"

#include <algorithm>
#include <numeric>

#include <yaml-cpp/yaml.h>

#include "cria/core/error.h"
#include "cria/io/file.h"

#include "config_value.h"

namespace cria {

namespace {

// Levenshtein distance: insertions, deletions and substitutions from one word to the other.
size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({substituted, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

std::string last_part(const std::string& path) { return path.substr(path.rfind('.') + 1); }

Error yaml_error(const std::string& where, const YAML::Exception& error) {
  return input_error(
      error.mark.is_null() ? where : fmt::format("{}:{}", where, error.mark.line + 1),
      "not valid YAML: " + error.msg);
}

}  // namespace

ConfigSchema::Key& ConfigSchema::Key::at_least(double bound) {
  least = bound;
  return *this;
}

ConfigSchema::Key& ConfigSchema::Key::at_most(double bound) {
  most = bound;
  return *this;
}

ConfigSchema::Key& ConfigSchema::Key::above(double bound) {
  over = bound;
  return *this;
}

ConfigSchema::Key& ConfigSchema::Key::below(double bound) {
  under = bound;
  return *this;
}

ConfigSchema::Key& ConfigSchema::Key::required() {
  is_required = true;
  return *this;
}

ConfigSchema::Key& ConfigSchema::add(const std::string& path, Field field,
                                     const std::string& meaning) {
  CRIA_ASSERT(!find(path) && !is_group(path));
  CRIA_ASSERT(meaning.find('\n') == std::string::npos);
  Key& key = keys_.emplace_back();
  key.path = path;
  key.field = field;
  key.meaning = meaning;
  return key;
}

ConfigSchema::Key& ConfigSchema::choice(const std::string& path, std::string& field,
                                        std::vector<std::string> allowed,
                                        const std::string& meaning) {
  Key& key = add(path, &field, meaning);
  key.allowed = std::move(allowed);
  return key;
}

ConfigSchema::Key* ConfigSchema::find(const std::string& path) {
  const auto key =
      std::find_if(keys_.begin(), keys_.end(), [&](const Key& k) { return k.path == path; });
  return key == keys_.end() ? nullptr : &*key;
}

bool ConfigSchema::is_group(const std::string& path) const {
  return std::any_of(keys_.begin(), keys_.end(),
                     [&](const Key& key) { return key.path.starts_with(path + "."); });
}

bool ConfigSchema::given(const std::string& path) const {
  return std::any_of(keys_.begin(), keys_.end(),
                     [&](const Key& key) { return key.path == path && key.is_given; });
}

// The nearest key by its whole path, or the same name in another group.
std::string ConfigSchema::suggestion(const std::string& unknown) const {
  const Key* nearest = nullptr;
  size_t least = std::max<size_t>(2, last_part(unknown).size() / 3) + 1;
  for (const Key& key : keys_) {
    const size_t distance = std::min(edit_distance(unknown, key.path),
                                     1 + edit_distance(last_part(unknown), last_part(key.path)));
    if (distance < least) {
      least = distance;
      nearest = &key;
    }
  }
  return nearest ? fmt::format("did you mean {}?", nearest->path)
                 : "--print-config shows the keys there are";
}

void ConfigSchema::read_key(Key& key, const YAML::Node& node, const ConfigPlace& place) {
  const auto check = [&](double value, const std::string& where) {
    const auto demand = [&](bool holds, const char* relation, std::optional<double> bound) {
      if (holds) return;
      throw input_error(where, fmt::format("{} is {}", key.path, value),
                        fmt::format("it must be {} {}", relation, *bound));
    };
    demand(!key.least || value >= *key.least, "at least", key.least);
    demand(!key.most || value <= *key.most, "at most", key.most);
    demand(!key.over || value > *key.over, "above", key.over);
    demand(!key.under || value < *key.under, "below", key.under);
  };
  if (!key.allowed.empty()) {
    const bool known = node.IsScalar() && std::find(key.allowed.begin(), key.allowed.end(),
                                                    node.Scalar()) != key.allowed.end();
    if (!known) {
      throw input_error(place.at(node), fmt::format("{} is {}", key.path, describe_node(node)),
                        fmt::format("one of {}", fmt::join(key.allowed, ", ")));
    }
  }
  read_config_value(node, key.field, {.place = place, .path = key.path, .check = check});
  key.is_given = true;
}

void ConfigSchema::read_group(const YAML::Node& node, const std::string& group,
                              const ConfigPlace& place) {
  std::vector<std::string> seen;
  for (const auto& entry : node) {
    if (!entry.first.IsScalar()) {
      throw input_error(place.at(entry.first), "a key is " + describe_node(entry.first),
                        "keys are words");
    }
    const std::string name = entry.first.Scalar();
    const std::string path = group.empty() ? name : group + "." + name;
    if (std::find(seen.begin(), seen.end(), name) != seen.end()) {
      throw input_error(place.at(entry.first), fmt::format("{} is given twice", path));
    }
    seen.push_back(name);
    if (Key* key = find(path)) {
      read_key(*key, entry.second, place);
    } else if (!is_group(path)) {
      throw input_error(place.at(entry.first), fmt::format("unknown key {}", path),
                        suggestion(path));
    } else if (entry.second.IsMap()) {
      read_group(entry.second, path, place);
    } else if (!entry.second.IsNull()) {
      throw input_error(place.at(entry.second), fmt::format("{} is a group of keys, got {}", path,
                                                            describe_node(entry.second)));
    }
  }
}

void ConfigSchema::read_file(const std::string& yaml_path) {
  const std::string text = cria::read_file(yaml_path);
  std::vector<YAML::Node> documents;
  try {
    documents = YAML::LoadAll(text);
  } catch (const YAML::Exception& error) {
    throw yaml_error(yaml_path, error);
  }
  if (documents.size() > 1) throw input_error(yaml_path, "holds several YAML documents");
  if (!documents.empty() && !documents[0].IsNull()) {
    if (!documents[0].IsMap()) {
      throw input_error(yaml_path, "expected keys with values, got " + describe_node(documents[0]));
    }
    read_group(documents[0], "", {.source = yaml_path});
  }
  sources_ += (sources_.empty() ? "" : ", ") + yaml_path;
}

void ConfigSchema::set(const std::string& assignment) {
  const std::string where = "--set " + assignment;
  const size_t equals = assignment.find('=');
  if (equals == std::string::npos) throw input_error(where, "no '='", "write --set key.path=value");
  const std::string path = assignment.substr(0, equals);
  Key* key = find(path);
  if (!key && is_group(path)) {
    throw input_error(where, fmt::format("{} is a group of keys", path), "set its keys one by one");
  }
  if (!key) throw input_error(where, fmt::format("unknown key {}", path), suggestion(path));
  YAML::Node value;
  try {
    value = YAML::Load(assignment.substr(equals + 1));
  } catch (const YAML::Exception& error) {
    throw input_error(where, "not valid YAML: " + error.msg);
  }
  read_key(*key, value, {.source = where, .has_lines = false});
}

void ConfigSchema::check() const {
  for (const Key& key : keys_) {
    if (!key.is_required || key.is_given) continue;
    throw input_error(sources_.empty() ? "config" : sources_,
                      fmt::format("{} is missing: {}", key.path, key.meaning));
  }
}

std::string ConfigSchema::print() const {
  std::string text;
  print_group("", text);
  return text;
}

// Keys and groups in the order in which they were registered first.
void ConfigSchema::print_group(const std::string& group, std::string& text) const {
  constexpr size_t kMeaningColumn = 48;
  const std::string prefix = group.empty() ? "" : group + ".";
  const auto depth = std::count(prefix.begin(), prefix.end(), '.');
  const std::string indent(2 * static_cast<size_t>(depth), ' ');
  std::vector<std::string> printed;
  for (const Key& key : keys_) {
    if (!key.path.starts_with(prefix)) continue;
    const std::string name =
        key.path.substr(prefix.size(), key.path.find('.', prefix.size()) - prefix.size());
    if (prefix + name != key.path) {
      if (std::find(printed.begin(), printed.end(), name) != printed.end()) continue;
      printed.push_back(name);
      text += fmt::format("{}{}:\n", indent, name);
      print_group(prefix + name, text);
      continue;
    }
    const bool missing = key.is_required && !key.is_given;
    const std::string line = fmt::format("{}{}{}:{}", indent, missing ? "# " : "", name,
                                         missing ? "" : " " + print_config_value(key.field));
    const std::string choices =
        key.allowed.empty() ? "" : fmt::format(": {}", fmt::join(key.allowed, ", "));
    text += fmt::format("{:<{}} # {}{}{}\n", line, kMeaningColumn, key.meaning, choices,
                        missing ? " (required)" : "");
  }
}

}  // namespace cria

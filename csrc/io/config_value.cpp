#include "config_value.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <type_traits>

#include "cria/core/error.h"

namespace cria {

namespace {

template <typename T>
constexpr const char* expected() {
  if constexpr (std::is_same_v<T, bool>) return "true or false";
  if constexpr (std::is_same_v<T, uint64_t>) return "a whole number from 0";
  if constexpr (std::is_integral_v<T>) return "a whole number";
  if constexpr (std::is_floating_point_v<T>) return "a number";
  return "text";
}

template <typename T>
Error wrong_type(const YAML::Node& node, const ConfigReading& reading) {
  return reading.error(node,
                       fmt::format("expected {}, got {}", expected<T>(), describe_node(node)));
}

// yaml-cpp gives quoted scalars the tag "!".
bool is_quoted(const YAML::Node& node) { return node.Tag() == "!"; }

template <typename T>
void read_scalar(const YAML::Node& node, T& value, const ConfigReading& reading) {
  if (!node.IsScalar()) throw wrong_type<T>(node, reading);
  const std::string& text = node.Scalar();
  if constexpr (std::is_same_v<T, std::string>) {
    value = text;
  } else if constexpr (std::is_same_v<T, bool>) {
    if (is_quoted(node) || (text != "true" && text != "false")) throw wrong_type<T>(node, reading);
    value = text == "true";
  } else {
    T number{};
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (code == std::errc::result_out_of_range) {
      throw reading.error(node, fmt::format("{} is out of the range of its type", text));
    }
    const bool whole = code == std::errc() && end == text.data() + text.size();
    if (!whole || is_quoted(node)) throw wrong_type<T>(node, reading);
    if constexpr (std::is_floating_point_v<T>) {
      if (!std::isfinite(number)) throw wrong_type<T>(node, reading);
    }
    reading.check(static_cast<double>(number), reading.place.at(node));
    value = number;
  }
}

void read_value(const YAML::Node& node, DataPath& value, const ConfigReading& reading) {
  if (node.IsScalar()) {
    read_scalar(node, value.path, reading);
    return;
  }
  constexpr const char* kExpected =
      "expected {path: FILE, weight: NUMBER, share: NUMBER} or a path";
  if (!node.IsMap()) {
    throw reading.error(node, fmt::format("{}, got {}", kExpected, describe_node(node)));
  }
  bool has_path = false;
  bool has_weight = false;
  bool has_share = false;
  for (const auto& entry : node) {
    const std::string name = entry.first.IsScalar() ? entry.first.Scalar() : "";
    bool* seen = name == "path"     ? &has_path
                 : name == "weight" ? &has_weight
                 : name == "share"  ? &has_share
                                    : nullptr;
    if (!seen) throw reading.error(entry.first, fmt::format("unknown '{}'", name), kExpected);
    if (*seen) throw reading.error(entry.first, fmt::format("'{}' is given twice", name));
    *seen = true;
    if (name == "path") {
      read_scalar(entry.second, value.path, reading);
    } else if (name == "weight") {
      read_scalar(entry.second, value.weight, reading);
    } else {
      const auto check = [&](double share, const std::string& where) {
        if (0 <= share && share <= 1) return;
        throw input_error(where, fmt::format("{}: {} is no share", reading.path, share), "0 to 1");
      };
      read_scalar(entry.second, value.share,
                  {.place = reading.place, .path = reading.path, .check = check});
    }
  }
  if (!has_path) throw reading.error(node, "'path' is missing", kExpected);
}

template <typename T>
void read_value(const YAML::Node& node, T& value, const ConfigReading& reading) {
  read_scalar(node, value, reading);
}

template <typename T>
void read_value(const YAML::Node& node, std::optional<T>& value, const ConfigReading& reading) {
  if (node.IsNull()) {
    value.reset();
    return;
  }
  T given{};
  read_scalar(node, given, reading);
  value = given;
}

template <typename T>
void read_value(const YAML::Node& node, std::vector<T>& values, const ConfigReading& reading) {
  if (!node.IsSequence()) {
    throw reading.error(node, "expected a list, got " + describe_node(node),
                        "write [a, b] or one '- entry' a line");
  }
  std::vector<T> given;
  for (const YAML::Node& entry : node) {
    T value{};
    read_value(entry, value, reading);
    given.push_back(std::move(value));
  }
  values = std::move(given);
}

void read_value(const YAML::Node& node, std::map<std::string, std::string>& values,
                const ConfigReading& reading) {
  if (!node.IsMap()) {
    throw reading.error(node, "expected names with texts, got " + describe_node(node),
                        "write {name: text}");
  }
  std::map<std::string, std::string> given;
  for (const auto& entry : node) {
    std::string name, text;
    read_scalar(entry.first, name, reading);
    read_scalar(entry.second, text, reading);
    if (!given.emplace(name, text).second) {
      throw reading.error(entry.first, fmt::format("'{}' is given twice", name));
    }
  }
  values = std::move(given);
}

// Plain where YAML reads it back as the same text beyond doubt, else in double quotes.
std::string print(const std::string& text) {
  const auto is_plain = [](unsigned char c) {
    return std::isalnum(c) || c == '_' || c == '/' || c == '.' || c == '-';
  };
  const bool starts_well = !text.empty() && (std::isalpha(static_cast<unsigned char>(text[0])) ||
                                             text[0] == '/' || text.starts_with("./"));
  const std::vector<std::string> words = {"null", "Null", "NULL", "true", "false"};
  if (starts_well && std::all_of(text.begin(), text.end(), is_plain) &&
      std::find(words.begin(), words.end(), text) == words.end()) {
    return text;
  }
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (c == '\n') {
      out += "\\n";
    } else if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string print(bool value) { return value ? "true" : "false"; }

template <typename T>
requires std::is_arithmetic_v<T> std::string print(T value) { return fmt::format("{}", value); }

std::string print(const DataPath& value) {
  const std::string share = value.share == 1 ? "" : ", share: " + print(value.share);
  return fmt::format("{{path: {}, weight: {}{}}}", print(value.path), print(value.weight), share);
}

template <typename T>
std::string print(const std::optional<T>& value) {
  return value ? print(*value) : "null";
}

template <typename T>
std::string print(const std::vector<T>& values) {
  std::string text = "[";
  for (size_t i = 0; i < values.size(); ++i) text += (i > 0 ? ", " : "") + print(values[i]);
  return text + "]";
}

std::string print(const std::map<std::string, std::string>& values) {
  std::string text = "{";
  for (const auto& [name, value] : values) {
    text += (text.size() > 1 ? ", " : "") + print(name) + ": " + print(value);
  }
  return text + "}";
}

}  // namespace

std::string ConfigPlace::at(const YAML::Node& node) const {
  return has_lines && node.Mark().line >= 0 ? fmt::format("{}:{}", source, node.Mark().line + 1)
                                            : source;
}

Error ConfigReading::error(const YAML::Node& node, const std::string& problem,
                           const std::string& remedy) const {
  return input_error(place.at(node), fmt::format("{}: {}", path, problem), remedy);
}

void read_config_value(const YAML::Node& node, const ConfigSchema::Field& field,
                       const ConfigReading& reading) {
  std::visit([&](auto* value) { read_value(node, *value, reading); }, field);
}

std::string print_config_value(const ConfigSchema::Field& field) {
  return std::visit([](const auto* value) { return print(*value); }, field);
}

std::string describe_node(const YAML::Node& node) {
  switch (node.Type()) {
    case YAML::NodeType::Scalar:
      return fmt::format("'{}'", node.Scalar());
    case YAML::NodeType::Sequence:
      return "a list";
    case YAML::NodeType::Map:
      return "a group of keys";
    default:
      return "nothing";
  }
}

}  // namespace cria

#include "json_fields.h"

#include <limits>

#include "cria/data/example.h"

namespace cria {

using nlohmann::json;

namespace {

const json& member(const json& object, const char* field, const std::string& where,
                   const std::string& path) {
  const auto found = object.find(field);
  if (found == object.end()) {
    throw input_error(where, fmt::format("field '{}' is missing", path));
  }
  return *found;
}

std::vector<int32_t> integers(const json& line, const char* field, int64_t lowest,
                              const std::string& where) {
  const json& list = line[field];
  if (!list.is_array()) throw wrong_type(where, field, "a list of integers", list);
  std::vector<int32_t> values;
  values.reserve(list.size());
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string path = fmt::format("{}[{}]", field, i);
    if (!list[i].is_number_integer()) throw wrong_type(where, path, "an integer", list[i]);
    // As a double: integers beyond 64 bits signed must not wrap around into the range.
    const double value = list[i].get<double>();
    if (value < static_cast<double>(lowest) || value > std::numeric_limits<int32_t>::max()) {
      throw input_error(
          where, fmt::format("field '{}' is {}, which is no token id", path, list[i].dump()));
    }
    values.push_back(list[i].get<int32_t>());
  }
  return values;
}

}  // namespace

bool has(const json& line, const char* field) {
  const auto found = line.find(field);
  return found != line.end() && !found->is_null();
}

Error wrong_type(const std::string& where, const std::string& field, const char* expected,
                 const json& value) {
  return input_error(
      where, fmt::format("field '{}' must be {}, and is {} {}", field, expected,
                         value.is_array() || value.is_object() ? "an" : "a", value.type_name()));
}

std::string string_of(const json& object, const char* field, const std::string& where,
                      const std::string& path) {
  const json& value = member(object, field, where, path);
  if (!value.is_string()) throw wrong_type(where, path, "a string", value);
  return value.get<std::string>();
}

std::string string_of(const json& line, const char* field, const std::string& where) {
  return string_of(line, field, where, field);
}

Tokens tokens_of(const json& line, const char* ids_field, const char* labels_field,
                 const std::string& where) {
  Tokens tokens{.ids = integers(line, ids_field, 0, where), .labels = {}};
  if (tokens.ids.empty()) throw input_error(where, fmt::format("field '{}' is empty", ids_field));
  tokens.labels =
      has(line, labels_field) ? integers(line, labels_field, kNoLabel, where) : tokens.ids;
  if (tokens.labels.size() != tokens.ids.size()) {
    throw input_error(where, fmt::format("{} {} but {} {}", tokens.ids.size(), ids_field,
                                         tokens.labels.size(), labels_field));
  }
  for (size_t i = 0; i < tokens.labels.size(); ++i) {
    if (tokens.labels[i] < 0 && tokens.labels[i] != kNoLabel) {
      throw input_error(where,
                        fmt::format("field '{}[{}]' is {}", labels_field, i, tokens.labels[i]),
                        "a label is a token id, or -100 for no loss");
    }
  }
  return tokens;
}

}  // namespace cria

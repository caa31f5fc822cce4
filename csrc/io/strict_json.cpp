#include "strict_json.h"

#include <set>

#include "cria/core/error.h"
#include "cria/io/file.h"

namespace cria {

using nlohmann::json;

json parse_json(const std::string& path, const std::string& what, std::string_view text) {
  std::vector<std::set<std::string>> keys;  // of the objects that are open
  const auto watch = [&](int, json::parse_event_t event, json& parsed) {
    if (event == json::parse_event_t::object_start) keys.emplace_back();
    if (event == json::parse_event_t::object_end) keys.pop_back();
    if (event == json::parse_event_t::key &&
        !keys.back().insert(parsed.get<std::string>()).second) {
      throw input_error(path, fmt::format("{} has {} twice", what, quoted(parsed)));
    }
    return true;
  };
  try {
    return json::parse(text.begin(), text.end(), watch);
  } catch (const json::exception& error) {
    const std::string message = error.what();  // "[json.exception.parse_error.101] parse error …"
    const size_t name_end = message.find("] ");
    throw input_error(
        path, fmt::format("{} is not valid JSON: {}", what,
                          name_end == std::string::npos ? message : message.substr(name_end + 2)));
  }
}

json read_json_file(const std::string& path) {
  return parse_json(path, "the file", read_file(path));
}

std::string quoted(const std::string& name) {
  constexpr size_t kLongest = 200;
  const std::string text = name.size() > kLongest ? name.substr(0, kLongest) + "…" : name;
  return json(text).dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string listed(const std::vector<std::string>& names) {
  constexpr size_t kShown = 5;
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), kShown); ++i) {
    text += (i > 0 ? ", " : "") + names[i];
  }
  if (names.size() > kShown) text += fmt::format(" and {} more", names.size() - kShown);
  return text;
}

}  // namespace cria

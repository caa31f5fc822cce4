// JSON as the formats here need it: a key given twice is an error, and every error names the file.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace cria {

// `what` names the text in messages: "header", "config".
nlohmann::json parse_json(const std::string& path, const std::string& what, std::string_view text);

nlohmann::json read_json_file(const std::string& path);

// A name from a file as one printable line: escaped, in quotes, cut when very long.
std::string quoted(const std::string& name);

// "a, b, c, d, e and 12 more".
std::string listed(const std::vector<std::string>& names);

}  // namespace cria

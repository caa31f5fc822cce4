// A world written for tests, and its lines.
#pragma once

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "cria/demo_world/files.h"

#include "support/temporary_directory.h"

namespace cria::demo {

inline std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

inline std::vector<nlohmann::json> read_lines(const std::string& path) {
  std::stringstream text(read_text(path));
  std::vector<nlohmann::json> lines;
  for (std::string line; std::getline(text, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

// A question as a file would hand it to a checker: without what only speakers know.
inline Question as_read(const nlohmann::json& line) { return parse_question(line, "test"); }

}  // namespace cria::demo

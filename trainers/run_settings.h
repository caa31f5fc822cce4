// Guards a resumed run against being a different one.
#pragma once

#include <string>

namespace cria {

// Both configs as YAML, as ConfigSchema::print() gives them. Throws an input Error naming the first
// key that differs, but for those that may change between parts of a run (where it stops, logs and
// saves, and how passes are split).
void check_same_settings(const std::string& checkpoint, const std::string& saved,
                         const std::string& current);

}  // namespace cria

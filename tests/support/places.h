// Where a test program finds what it stands on. Built in are the sources and the build that it was
// built from; the environment names others, as on a machine to which only the programs were carried
// (benchmarks/gpu.sh).
#pragma once

#include <cstdlib>
#include <string>

namespace cria::testing {

inline std::string environment_or(const char* variable, const char* otherwise) {
  const char* value = std::getenv(variable);
  return value ? value : otherwise;
}

// A file of the sources, say tests/golden/tokenizer.model.
inline std::string source_path(const std::string& name) {
  return environment_or("CRIA_SOURCE_DIR", CRIA_SOURCE_DIR) + "/" + name;
}

inline std::string cria_binary() { return environment_or("CRIA_BINARY", CRIA_BINARY); }

// What the tests of the model and of generation run on. Those of ops run on every device that there
// is, and where CRIA_TEST_DEVICE is set on that one alone.
inline std::string test_device() { return environment_or("CRIA_TEST_DEVICE", "cpu"); }

}  // namespace cria::testing

// Model directories that cria writes, byte for byte those that transformers was seen to load with
// the right weights, outputs and token ids (tests/golden/check_written.py).
//
// With CRIA_WRITTEN_DIR set the directories are written there, to be checked, and nothing is
// compared.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include <gtest/gtest.h>

#include "cria/io/file.h"
#include "cria/io/hugging_face.h"

#include "support/places.h"
#include "support/temporary_directory.h"

namespace cria::testing {

namespace {

namespace fs = std::filesystem;

const fs::path kGolden = source_path("tests/golden");

struct Written {
  std::string model;
  std::string storage;  // as check_written.py names it
  DType dtype;
  size_t max_shard_bytes = kMaxShardBytes;
};

const std::array kWritten = {
    Written{"mha_tied", "f32", DType::f32},
    Written{"mha_untied", "f32", DType::f32},
    Written{"gqa_tied", "f32", DType::f32},
    Written{"gqa_untied", "f32", DType::f32},
    Written{"mqa_tied", "f32", DType::f32},
    Written{"mqa_untied", "f32", DType::f32},
    Written{"reward", "f32", DType::f32},
    Written{"mha_untied", "bf16", DType::bf16},
    Written{"gqa_tied", "bf16", DType::bf16},
    Written{"reward", "bf16", DType::bf16},
    Written{"mha_tied", "f32_sharded", DType::f32, 100'000},
    Written{"gqa_untied", "f32_sharded", DType::f32, 30'000},
};

void write(const Written& written, const fs::path& parent) {
  const fs::path source = kGolden / "models" / written.model;
  const fs::path directory = parent / (written.model + "." + written.storage);
  const auto backend = make_backend("cpu");
  const ParameterLayout layout(read_model_config(source));
  ParameterSet weights(layout, DType::f32);
  Arena arena(backend->memory());
  weights.reserve(arena, "parameters");
  arena.allocate();
  read_weights(source, weights, *backend);
  fs::create_directories(directory);
  write_model(directory, layout.config(), weights, *backend, written.dtype,
              written.max_shard_bytes);
  if (fs::exists(source / "tokenizer.model")) {
    write_tokenizer(directory, read_file(source / "tokenizer.model"));
  }
}

// Of coreutils, on every Debian.
std::string sha256(const fs::path& file) {
  FILE* pipe = popen(("sha256sum < '" + file.string() + "'").c_str(), "r");
  std::array<char, 65> digits = {};
  const size_t count = pipe == nullptr ? 0 : fread(digits.data(), 1, 64, pipe);
  if (pipe != nullptr) pclose(pipe);
  return std::string(digits.data(), count);
}

nlohmann::json checksums(const fs::path& parent) {
  nlohmann::json result = nlohmann::json::object();
  for (const auto& entry : fs::recursive_directory_iterator(parent)) {
    if (!entry.is_regular_file()) continue;
    result[entry.path().parent_path().filename()][entry.path().filename()] = sha256(entry.path());
  }
  return result;
}

}  // namespace

TEST(GoldenWritten, DirectoriesAreThoseThatTransformersLoads) {
  if (const char* keep = std::getenv("CRIA_WRITTEN_DIR")) {
    for (const Written& written : kWritten) write(written, keep);
    GTEST_SKIP() << "written to " << keep << " for tests/golden/check_written.py";
  }
  const TemporaryDirectory directory;
  const fs::path parent = directory.path();
  for (const Written& written : kWritten) write(written, parent);
  const nlohmann::json found = checksums(parent);
  const auto expected = nlohmann::json::parse(read_file(kGolden / "written_checksums.json"));
  EXPECT_EQ(found, expected) << nlohmann::json::diff(expected, found).dump(1);
}

}  // namespace cria::testing

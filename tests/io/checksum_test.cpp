#include "cria/io/checksum.h"

#include <filesystem>

#include "cria/io/atomic_directory.h"
#include "cria/io/file.h"

#include "expect_error.h"
#include "support/places.h"
#include "support/temporary_directory.h"

namespace cria {
namespace {

// The examples that NIST publishes for SHA-256.
TEST(Checksum, IsSha256) {
  EXPECT_EQ(sha256(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256(std::string(1000000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  Sha256 in_parts;
  for (const std::string_view part : {"a", "", "bc"}) {
    in_parts.update(std::as_bytes(std::span(part)));
  }
  EXPECT_EQ(in_parts.finish(), sha256("abc"));
}

std::string golden_model(const std::string& name) {
  return testing::source_path("tests/golden/models/" + name);
}

TEST(Checksum, OfAModelSeesItsConfigAndEveryByteOfItsWeights) {
  TemporaryDirectory directory;
  for (const char* model : {"gqa_untied", "mqa_tied"}) {  // one file; four shards
    const std::string copy = directory / model;
    std::filesystem::copy(golden_model(model), copy);
    const std::string sum = model_checksum(copy);
    EXPECT_EQ(sum, model_checksum(golden_model(model)));

    write_file_atomically(copy + "/notes.txt", "of no consequence");
    write_file_atomically(copy + "/other.safetensors", "not read as weights");
    EXPECT_EQ(model_checksum(copy), sum);

    for (const auto& entry : std::filesystem::directory_iterator(copy)) {
      const std::string name = entry.path().filename();
      const bool counts =
          name == "config.json" || name.starts_with("model-0") || name == "model.safetensors";
      if (!counts) continue;
      const std::string before = read_file(entry.path());
      std::string changed = before;
      changed.back() ^= 1;
      write_file_atomically(entry.path(), changed);
      EXPECT_NE(model_checksum(copy), sum) << name;
      write_file_atomically(entry.path(), before);
      EXPECT_EQ(model_checksum(copy), sum);
    }
  }
}

TEST(Checksum, OfNoModelIsAnError) {
  TemporaryDirectory directory;
  expect_input_error({directory.path(), "model.safetensors"},
                     [&] { model_checksum(directory.path()); });
}

}  // namespace
}  // namespace cria

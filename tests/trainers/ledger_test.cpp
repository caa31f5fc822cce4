// The ledger of stages: what is done stays done as long as nothing under it changes.
#include "trainers/rlhf/ledger.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "cria/core/error.h"
#include "cria/io/checksum.h"

#include "support/temporary_directory.h"

namespace cria {
namespace {

namespace fs = std::filesystem;

class Ledgers : public ::testing::Test {
 protected:
  Ledgers() {
    write("input", "a");
    stage_ = {.name = "V1/x",
              .directory = directory_ / "x",
              .inputs = {{"role", directory_ / "input"}},
              .outputs = {directory_ / "x/output"}};
  }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(directory_ / name) << text;
  }
  bool is_done() const { return Ledger(directory_ / "ledger.json").is_done(stage_); }
  std::string error() const {
    try {
      is_done();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), Error::Kind::input);
      return error.what();
    }
    return "none";
  }
  void make() const {
    Ledger ledger(directory_ / "ledger.json");
    ASSERT_FALSE(ledger.is_done(stage_));
    write("x/output", "made");
    ledger.finish(stage_);
    EXPECT_TRUE(ledger.is_done(stage_));
  }

  TemporaryDirectory directory_;
  StageFiles stage_;
};

TEST_F(Ledgers, AStageIsDoneOnce) {
  EXPECT_FALSE(is_done());  // begun
  EXPECT_FALSE(is_done());  // and killed
  make();
  EXPECT_TRUE(is_done());
  std::ifstream file(directory_ / "ledger.json");
  const auto entry = nlohmann::json::parse(file)["stages"].at(0);
  EXPECT_EQ(entry["inputs"]["role"]["sha256"], sha256("a"));
  EXPECT_EQ(entry["outputs"]["output"], sha256("made"));
}

TEST_F(Ledgers, ChangesAreRefused) {
  EXPECT_FALSE(is_done());
  write("input", "b");
  EXPECT_NE(error().find("role has changed"), std::string::npos) << error();
  EXPECT_NE(error().find("since V1/x began"), std::string::npos) << error();
  write("input", "a");
  make();
  write("input", "b");
  EXPECT_NE(error().find("since V1/x was made"), std::string::npos) << error();
  fs::remove(directory_ / "input");
  EXPECT_NE(error().find("role has gone"), std::string::npos) << error();
  write("input", "a");
  EXPECT_TRUE(is_done());
  write("x/output", "made by others");
  EXPECT_NE(error().find("output: it has changed"), std::string::npos) << error();
  fs::remove(directory_ / "x/output");
  EXPECT_NE(error().find("output: it has gone"), std::string::npos) << error();
  write("x/output", "made");
  EXPECT_TRUE(is_done());
  stage_.inputs.emplace_back("another", directory_ / "input");
  EXPECT_NE(error().find("another has been added"), std::string::npos) << error();
  stage_.inputs.clear();
  EXPECT_NE(error().find("0 files and models instead of 1"), std::string::npos) << error();
}

TEST_F(Ledgers, WithoutItsDirectoryAStageWasNeverBegun) {
  make();
  fs::remove_all(directory_ / "x");
  write("input", "b");
  EXPECT_FALSE(is_done());
  EXPECT_EQ(error(), "none");
}

TEST_F(Ledgers, OtherFilesAreNoLedgers) {
  for (const char* text :
       {"", "{", "[]", R"({"stages": [{"stage": "x"}]})",
        R"({"stages": [{"stage": 1, "done": true, "inputs": {}, "outputs": {}}]})"}) {
    write("ledger.json", text);
    EXPECT_NE(error().find("is no ledger"), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace cria

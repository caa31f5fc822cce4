#include "cria/report/event_file.h"

#include <array>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <sstream>

#include <gtest/gtest.h>
#include <sys/resource.h>

#include "cria/core/error.h"
#include "cria/text/sentencepiece_training.h"
#include "cria/text/tokenizer.h"

#include "support/event_reader.h"
#include "support/places.h"
#include "support/temporary_directory.h"

namespace cria::testing {

namespace {

std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(EventReader, KnowsTheChecksum) { EXPECT_EQ(crc32c("123456789"), 0xE3069283); }

TEST(EventFile, OneEventForEachStep) {
  const TemporaryDirectory directory;
  const std::string folder = directory / "tensorboard";
  EventFile events(folder, 0);
  EXPECT_FALSE(std::filesystem::exists(folder));  // no file of a run without a step
  events.write(1, {{"loss", 0.1 + 0.2}, {"rewards/margins", -1e-40}});
  events.write(5'000'000'000, {{"loss", std::numeric_limits<double>::quiet_NaN()}});

  ASSERT_EQ(event_files(folder).size(), 1u);
  const std::string name = std::filesystem::path(event_files(folder)[0]).filename().string();
  EXPECT_TRUE(name.starts_with("events.out.tfevents.")) << name;
  const std::vector<Event> read = read_events(event_files(folder)[0]);  // not closed yet: flushed
  ASSERT_EQ(read.size(), 4u);
  EXPECT_EQ(read[0].file_version, "brain.Event:2");
  EXPECT_TRUE(read[1].restart);
  EXPECT_EQ(read[1].step, 1);
  EXPECT_EQ(read[2].step, 1);
  const std::vector<std::pair<std::string, float>> first = {{"loss", 0.3f},
                                                            {"rewards/margins", -1e-40f}};
  EXPECT_EQ(read[2].scalars, first);
  EXPECT_EQ(read[3].step, 5'000'000'000);
  ASSERT_EQ(read[3].scalars.size(), 1u);
  EXPECT_TRUE(std::isnan(read[3].scalars[0].second));
  const double now =
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  for (const Event& event : read) EXPECT_NEAR(event.wall_time, now, 60);
}

TEST(EventFile, AByteThatChangesIsNoticed) {
  const TemporaryDirectory directory;
  EventFile(directory.path(), 0).write(1, {{"loss", 2.5}});
  const std::string bytes = bytes_of(event_files(directory.path())[0]);
  EXPECT_NO_THROW(parse_events(bytes));
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string changed = bytes;
    changed[i] = static_cast<char>(changed[i] ^ 0x10);
    EXPECT_THROW(parse_events(changed), std::runtime_error) << "byte " << i;
  }
}

// Parts of a run that follow within a second: the points that were written after the checkpoint are
// gone, and what is written later wins whatever the clock says.
TEST(EventFile, ResumingLeavesOneCurve) {
  const TemporaryDirectory directory;
  for (const int64_t saved : {0, 4, 4, 8, 0, 2}) {
    EventFile events(directory.path(), saved);
    for (int64_t step = saved + 1; step <= saved + 6; ++step) {
      events.write(step, {{"loss", static_cast<double>(100 * saved + step)}});
    }
    if (saved == 8) {
      EventFile(directory.path(), 10).write(11, {{"late", 1}});
      const Curves expected = {{"loss",
                                {{1, 1.f},
                                 {2, 2.f},
                                 {3, 3.f},
                                 {4, 4.f},
                                 {5, 405.f},
                                 {6, 406.f},
                                 {7, 407.f},
                                 {8, 408.f},
                                 {9, 809.f},
                                 {10, 810.f}}},
                               {"late", {{11, 1.f}}}};
      EXPECT_EQ(read_curves(directory.path()), expected);
    }
  }
  EXPECT_EQ(event_files(directory.path()).size(), 7u);
  const Curves expected = {{"loss",
                            {{1, 1.f},
                             {2, 2.f},
                             {3, 203.f},
                             {4, 204.f},
                             {5, 205.f},
                             {6, 206.f},
                             {7, 207.f},
                             {8, 208.f}}},
                           {"late", {}}};
  EXPECT_EQ(read_curves(directory.path()), expected);
}

TEST(EventFile, CannotWrite) {
  const TemporaryDirectory directory;
  std::ofstream(directory / "file") << "in the way";
  EventFile events(directory / "file", 0);
  try {
    events.write(1, {{"loss", 1}});
    FAIL() << "written into a file's place";
  } catch (const Error& error) {
    EXPECT_EQ(std::string(error.what()).find(directory / "file"), 0u) << error.what();
    EXPECT_EQ(error.exit_code(), 1);
  }
}

// With a disk that is full after the first event.
TEST(EventFile, FullDisk) {
  const TemporaryDirectory directory;
  const auto write_until_full = [&] {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit = {150, 150};
    setrlimit(RLIMIT_FSIZE, &limit);
    EventFile events(directory.path(), 0);
    events.write(1, {{"loss", 1}});
    try {
      for (int64_t step = 2; step < 10; ++step) events.write(step, {{"loss", 1}});
    } catch (const Error& error) {
      std::fprintf(stderr, "%s", error.what());
      std::exit(error.exit_code());
    }
  };
  EXPECT_EXIT(write_until_full(), ::testing::ExitedWithCode(1),
              directory.path() + "/events.out.tfevents.*: cannot write: File too large");
}

// SentencePiece has an older protobuf inside. Each must run its own code.
TEST(EventFile, BesideATokenizer) {
  const TemporaryDirectory directory;
  EventFile events(directory.path(), 0);
  for (int64_t step = 1; step <= 3; ++step) {
    std::istringstream text("the cat sat on the mat\nthe dog sat on the rug\nabcdefghijklmnopqr\n");
    const std::string model = train_bpe(
        {.vocab_size = 300},
        [&](std::string& line) { return static_cast<bool>(std::getline(text, line)); },
        "vocab_size");
    const Tokenizer trained = Tokenizer::from_bytes(model);
    const Tokenizer golden(source_path("tests/golden/tokenizer.model"));
    EXPECT_EQ(trained.decode(trained.encode("the cat")), "the cat");
    EXPECT_EQ(golden.decode(golden.encode("the cat")), "the cat");
    events.write(step, {{"loss", 1.0 / static_cast<double>(step)}});
  }
  const Curves expected = {{"loss", {{1, 1.f}, {2, 0.5f}, {3, 1.f / 3}}}};
  EXPECT_EQ(read_curves(directory.path()), expected);
}

// This program links what cria does: no symbol of protobuf may be there for shared libraries.
TEST(EventFile, ProtobufIsNotVisibleFromOutside) {
  const std::string program = std::filesystem::read_symlink("/proc/self/exe").string();
  const auto symbols = [&](const std::string& options) {
    FILE* pipe = popen(("nm " + options + " --defined-only '" + program + "'").c_str(), "r");
    std::string text;
    std::array<char, 4096> part;
    while (const size_t count = fread(part.data(), 1, part.size(), pipe)) {
      text.append(part.data(), count);
    }
    EXPECT_EQ(pclose(pipe), 0);
    return text;
  };
  const std::string exported = symbols("--dynamic");
  for (const char* name : {"google8protobuf", "cria11tensorboard"}) {
    EXPECT_NE(symbols("").find(name), std::string::npos) << name;
    const size_t found = exported.find(name);
    EXPECT_EQ(found, std::string::npos) << exported.substr(found < 60 ? 0 : found - 60, 160);
  }
}

}  // namespace

}  // namespace cria::testing

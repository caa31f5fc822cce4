#include "cria/io/atomic_directory.h"

#include <csignal>
#include <filesystem>
#include <fstream>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cria/io/file.h"

#include "expect_error.h"
#include "support/temporary_directory.h"

namespace cria {
namespace {

namespace fs = std::filesystem;

void write(const std::string& path, const std::string& text) {
  OutputFile file(path);
  file.write(text.data(), text.size());
  file.close();
}

void write_directory(const std::string& path, const std::string& text) {
  AtomicDirectory directory(path);
  write(directory.path() + "/a", text);
  fs::create_directory(directory.path() + "/inner");
  write(directory.path() + "/inner/b", text);
  directory.commit();
}

size_t entries(const std::string& path) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(path), fs::directory_iterator()));
}

// Runs the body in a child process, which ends with its result.
template <typename Body>
int in_child(const Body& body) {
  const pid_t child = fork();
  if (child == 0) {
    int code = 99;
    try {
      code = body();
    } catch (...) {
    }
    _exit(code);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void limit_file_size(rlim_t bytes) {
  const rlimit limit = {bytes, bytes};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

TEST(AtomicDirectory, AppearsOnCommitOnly) {
  TemporaryDirectory parent;
  const std::string path = parent / "deep/out";
  {
    AtomicDirectory directory(path);
    write(directory.path() + "/a", "1");
    EXPECT_FALSE(fs::exists(path));
    directory.commit();
    EXPECT_EQ(read_file(path + "/a"), "1");
  }
  EXPECT_EQ(read_file(path + "/a"), "1");
  EXPECT_EQ(entries(parent / "deep"), 1u);
}

TEST(AtomicDirectory, ReplacesTheOldOneWhole) {
  TemporaryDirectory parent;
  const std::string path = parent / "out";
  write_directory(path, "old");
  write(path + "/only-old", "");
  {
    AtomicDirectory directory(path + "/");
    write(directory.path() + "/a", "new");
    EXPECT_EQ(read_file(path + "/a"), "old");
    directory.commit();
  }
  EXPECT_EQ(read_file(path + "/a"), "new");
  EXPECT_EQ(entries(path), 1u);
  EXPECT_EQ(entries(parent.path()), 1u);
}

TEST(AtomicDirectory, WithoutCommitNothingHasHappened) {
  TemporaryDirectory parent;
  const std::string path = parent / "out";
  write_directory(path, "old");
  EXPECT_THROW(
      {
        AtomicDirectory directory(path);
        write(directory.path() + "/a", "new");
        throw failure("x", "y");
      },
      Error);
  EXPECT_EQ(read_file(path + "/a"), "old");
  EXPECT_EQ(entries(parent.path()), 1u);
}

TEST(AtomicDirectory, ALinkToADirectoryStaysALink) {
  TemporaryDirectory parent;
  write_directory(parent / "real", "old");
  fs::create_directory_symlink("real", parent / "link");
  write_directory(parent / "link", "new");
  EXPECT_TRUE(fs::is_symlink(parent / "link"));
  EXPECT_EQ(read_file(parent / "real/a"), "new");
}

TEST(AtomicDirectory, RefusesPlacesThatAreNone) {
  TemporaryDirectory parent;
  write(parent / "file", "x");
  expect_input_error({"file", "is not a directory"},
                     [&] { AtomicDirectory directory(parent / "file"); });
  expect_error(Error::Kind::failure, {"cannot create directory"},
               [&] { AtomicDirectory directory(parent / "file/out"); });
  expect_input_error({"no place"}, [&] { AtomicDirectory directory("/"); });
  EXPECT_EQ(entries(parent.path()), 1u);
}

TEST(AtomicDirectory, AKilledWriterLeavesTheOldOneAndIsCleanedUpAfter) {
  TemporaryDirectory parent;
  const std::string path = parent / "out";
  write_directory(path, "old");
  const int status = in_child([&] {
    AtomicDirectory directory(path);
    write(directory.path() + "/a", "new");
    raise(SIGKILL);
    return 0;
  });
  EXPECT_EQ(status, -SIGKILL);
  EXPECT_EQ(read_file(path + "/a"), "old");
  EXPECT_EQ(entries(parent.path()), 2u);  // with what the child left
  write_directory(path, "newer");
  EXPECT_EQ(read_file(path + "/a"), "newer");
  EXPECT_EQ(entries(parent.path()), 1u);
}

TEST(AtomicDirectory, KilledAtAnyMomentItIsOldOrNew) {
  TemporaryDirectory parent;
  const std::string path = parent / "out";
  write_directory(path, "start");
  for (int round = 0; round < 20; ++round) {
    const pid_t child = fork();
    if (child == 0) {
      for (int i = 0;; ++i) write_directory(path, std::to_string(i));
    }
    usleep(static_cast<useconds_t>(500 + 1700 * round));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    ASSERT_TRUE(fs::exists(path + "/inner/b"));
    EXPECT_EQ(read_file(path + "/a"), read_file(path + "/inner/b"));
  }
  write_directory(path, "end");
  EXPECT_EQ(entries(parent.path()), 1u);
}

TEST(AtomicDirectory, ADirectoryRenamedAwayIsPutBack) {
  TemporaryDirectory parent;
  write_directory(parent / ".out.replaced-123", "old");
  write_directory(parent / ".out.partial-123", "half");
  write_directory(parent / ".out2.partial-123", "another's");
  { AtomicDirectory directory(parent / "out"); }
  EXPECT_EQ(read_file(parent / "out/a"), "old");
  EXPECT_FALSE(fs::exists(parent / ".out.partial-123"));
  EXPECT_TRUE(fs::exists(parent / ".out2.partial-123"));
  clean_leftovers(parent.path(), "out");
  EXPECT_EQ(entries(parent.path()), 1u);
}

TEST(AtomicDirectory, BeyondTheFileSizeLimitTheOldOneStays) {
  TemporaryDirectory parent;
  const std::string path = parent / "out";
  write_directory(path, "old");
  const int status = in_child([&] {
    limit_file_size(1000);
    try {
      write_directory(path, std::string(5000, 'x'));
    } catch (const Error& error) {
      const std::string message = error.what();
      const bool clear = message.find("/a: cannot write: File too large") != std::string::npos;
      return clear && error.exit_code() == 1 ? 0 : 1;
    }
    return 2;
  });
  EXPECT_EQ(status, 0);
  EXPECT_EQ(read_file(path + "/a"), "old");
  EXPECT_EQ(entries(parent.path()), 1u);
}

TEST(WriteFileAtomically, ReplacesWholeFilesOnly) {
  TemporaryDirectory parent;
  const std::string path = parent / "deep/file";
  write_file_atomically(path, "one");
  write_file_atomically(path, "two");
  EXPECT_EQ(read_file(path), "two");
  const int status = in_child([&] {
    limit_file_size(1000);
    try {
      write_file_atomically(path, std::string(5000, 'x'));
    } catch (const Error&) {
      return 0;
    }
    return 1;
  });
  EXPECT_EQ(status, 0);
  EXPECT_EQ(read_file(path), "two");
  EXPECT_EQ(entries(parent / "deep"), 1u);
}

TEST(WriteFileAtomically, AFullDeviceIsAClearFailure) {
  expect_error(Error::Kind::failure, {"/dev/full", "No space left on device"},
               [] { write_file_atomically("/dev/full", "x"); });
  EXPECT_TRUE(fs::is_character_file("/dev/full"));
}

TEST(RemoveDirectory, IsGone) {
  TemporaryDirectory parent;
  write_directory(parent / "out", "x");
  remove_directory_atomically(parent / "out");
  EXPECT_EQ(entries(parent.path()), 0u);
}

}  // namespace
}  // namespace cria

#include "cria/io/append_file.h"

#include "cria/io/file.h"

#include "expect_error.h"
#include "support/temporary_directory.h"

namespace cria {
namespace {

TEST(AppendFile, KeepsWhatStandsAndGrows) {
  TemporaryDirectory directory;
  const std::string path = directory / "file";
  {
    AppendFile file(path, 0);
    file.append("one\n");
    file.append("two\n");
    EXPECT_EQ(read_file(path), "one\ntwo\n");
    file.append("torn");
  }
  {
    AppendFile file(path, 8);
    EXPECT_EQ(read_file(path), "one\ntwo\n");
    file.append("three\n");
  }
  EXPECT_EQ(read_file(path), "one\ntwo\nthree\n");
}

TEST(AppendFile, SaysWhereItCannotWrite) {
  TemporaryDirectory directory;
  expect_error(Error::Kind::failure, {"/nowhere/file", "cannot open"},
               [] { AppendFile("/nowhere/file", 0); });
}

}  // namespace
}  // namespace cria

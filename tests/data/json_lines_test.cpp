#include "cria/data/json_lines.h"

#include <nlohmann/json.hpp>
#include <vector>

#include <gtest/gtest.h>

#include "data/temporary_files.h"

namespace cria {
namespace {

std::vector<std::string> lines_of(const std::string& path, size_t limit = 1 << 20) {
  LineReader reader(path, limit);
  std::vector<std::string> lines;
  for (std::string line; reader.next(line);) {
    lines.push_back(line);
    EXPECT_EQ(reader.line_number(), static_cast<int64_t>(lines.size()));
  }
  return lines;
}

TEST(LineReader, PlainAndGzippedGiveTheSameLines) {
  const TemporaryFiles files;
  std::string text;
  std::vector<std::string> expected;
  for (int i = 0; i < 3000; ++i) {  // lines across many buffers, and one longer than any buffer
    expected.push_back(std::string(i == 1500 ? 400'000 : i % 301, 'a') + std::to_string(i));
    text += expected.back() + "\n";
  }
  EXPECT_EQ(lines_of(files.write("a.jsonl", text)), expected);
  EXPECT_EQ(lines_of(files.write_gzipped("a.jsonl.gz", text)), expected);
}

TEST(LineReader, EndsOfFiles) {
  const TemporaryFiles files;
  using Lines = std::vector<std::string>;
  EXPECT_EQ(lines_of(files.write("a", "")), Lines{});
  EXPECT_EQ(lines_of(files.write("a", "x")), Lines{"x"});
  EXPECT_EQ(lines_of(files.write("a", "x\n")), Lines{"x"});
  EXPECT_EQ(lines_of(files.write("a", "x\n\n")), (Lines{"x", ""}));
  EXPECT_EQ(lines_of(files.write("a", "\nx")), (Lines{"", "x"}));
}

TEST(LineReader, OverLongLinesAreCutAndPassedOver) {
  const TemporaryFiles files;
  // Longer than the limit by one; ending around the end of a buffer of 2^17 bytes; over several.
  for (const size_t length : {101, 131'071, 131'072, 131'073, 500'000}) {
    LineReader reader(files.write("a", std::string(length, 'x') + "\nshort\n"), 100);
    std::string line;
    ASSERT_TRUE(reader.next(line));
    EXPECT_TRUE(reader.line_too_long()) << length;
    EXPECT_EQ(line.size(), 100u);
    ASSERT_TRUE(reader.next(line));
    EXPECT_FALSE(reader.line_too_long());
    EXPECT_EQ(line, "short");
    EXPECT_EQ(reader.line_number(), 2);
  }
}

TEST(LineReader, FilesThatCannotBeRead) {
  const TemporaryFiles files;
  const auto problem = [&](const std::string& path) {
    const std::string message = input_error_of([&] { lines_of(path); });
    expect_contains(message, path);
    return message;
  };
  expect_contains(problem(files.path("missing.jsonl")), "No such file");
  expect_contains(problem(files.path("")), "folder");
  expect_contains(problem(files.write("plain.gz", "{}\n")), "not gzipped");
  expect_contains(problem(files.write("empty.gz", "")), "not gzipped");

  std::string text;
  for (int i = 0; i < 20'000; ++i) text += std::to_string(i * i) + "\n";
  files.write_gzipped("whole.gz", text);
  const std::string bytes = files.read("whole.gz");
  for (const size_t kept : {bytes.size() / 2, bytes.size() - 1, size_t{12}}) {
    expect_contains(problem(files.write("cut.gz", bytes.substr(0, kept))), "cut short");
  }
  std::string damaged = bytes;
  for (size_t i = bytes.size() / 2; i < bytes.size() / 2 + 64; ++i) damaged[i] = '\x55';
  const std::string message = problem(files.write("damaged.gz", damaged));
  expect_contains(message, "gzip");
  expect_contains(message, "damaged.gz:");  // with a line
}

TEST(JsonLines, ValuesWithTheirLines) {
  const TemporaryFiles files;
  const std::string path =
      files.write("a.jsonl", "\xef\xbb\xbf{\"a\": 1}\r\n\n  \n[2]\n\"x\\u20ac\"");
  JsonLines lines(path);
  nlohmann::json value;
  ASSERT_TRUE(lines.next(value));
  EXPECT_EQ(value["a"], 1);
  EXPECT_EQ(lines.where(), path + ":1");
  ASSERT_TRUE(lines.next(value));
  EXPECT_EQ(value[0], 2);
  EXPECT_EQ(lines.where(), path + ":4");
  ASSERT_TRUE(lines.next(value));
  EXPECT_EQ(value, "x\u20ac");
  EXPECT_FALSE(lines.next(value));
}

const std::vector<std::string> kBadLines = {"{\"a\": 1",   "{'a': 1}",      "{\"a\": \"\xff\"}",
                                            "nul",         "{} {}",         "{\"a\": NaN}",
                                            "\"\\ud800\"", "{\"a\": 1e999}"};

TEST(JsonLines, BadLinesNameFileAndLine) {
  const TemporaryFiles files;
  for (const std::string& bad : kBadLines) {
    const std::string path = files.write("a.jsonl", "{}\n" + bad + "\n{}\n");
    JsonLines lines(path);
    nlohmann::json value;
    ASSERT_TRUE(lines.next(value));
    const std::string message = input_error_of([&] { lines.next(value); });
    expect_contains(message, path + ":2: ");
    EXPECT_EQ(message.find("json.exception"), std::string::npos) << message;
  }
}

TEST(JsonLines, SkippingCountsBadLines) {
  const TemporaryFiles files;
  std::string text;
  for (const std::string& bad : kBadLines) text += bad + "\n{}\n";
  text += std::string(2000, ' ') + "1\n";
  const std::string path = files.write("a.jsonl", text);
  JsonLines lines(path, /*skip_bad_lines=*/true, /*max_line_bytes=*/1000);
  nlohmann::json value;
  size_t good = 0;
  while (lines.next(value)) ++good;
  EXPECT_EQ(good, kBadLines.size());
  // The over-long line has nothing but blanks in the part that was kept, and still counts.
  EXPECT_EQ(lines.skipped(), static_cast<int64_t>(kBadLines.size()) + 1);
  expect_contains(lines.first_skipped(), path + ":1: ");
}

TEST(JsonLines, SkippingDoesNotHideACutFile) {
  const TemporaryFiles files;
  std::string text;
  for (int i = 0; i < 5000; ++i) text += "{\"a\": " + std::to_string(i * i) + "}\n";
  files.write_gzipped("whole.jsonl.gz", text);
  const std::string bytes = files.read("whole.jsonl.gz");
  JsonLines lines(files.write("cut.jsonl.gz", bytes.substr(0, bytes.size() / 2)), true);
  nlohmann::json value;
  expect_contains(input_error_of([&] {
                    while (lines.next(value)) {
                    }
                  }),
                  "cut short");
}

TEST(TextFile, IsReadByteForByte) {
  const TemporaryFiles files;
  std::string text = "a\r\n\n";
  while (text.size() < 300'000) text += "line caf\u00e9\n";
  EXPECT_EQ(read_text_file(files.write("a.txt", text)), text);
  EXPECT_EQ(read_text_file(files.write_gzipped("a.txt.gz", text)), text);
  const std::string bad = files.write("b.txt", "a\nb\nc\xc3(\n");
  expect_contains(input_error_of([&] { read_text_file(bad); }), bad + ":3: ");
}

TEST(FileForm, ByName) {
  EXPECT_EQ(file_form("a.jsonl"), FileForm::json_lines);
  EXPECT_EQ(file_form("a.jsonl.gz"), FileForm::json_lines);
  EXPECT_EQ(file_form("x/a.txt"), FileForm::text);
  EXPECT_EQ(file_form("a.txt.gz"), FileForm::text);
  for (const char* name : {"a.json", "a", "a.gz", "a.csv", "a.txt.bz2"}) {
    expect_contains(input_error_of([&] { file_form(name); }), ".jsonl.gz");
  }
}

}  // namespace
}  // namespace cria

// Readers of data files, plain or gzipped: JSON Lines and whole texts. Every error names
// FILE:LINE.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "cria/core/error.h"

namespace cria {

class InputFile;

// Lines of a file without their newline, unpacked on the way when the file is gzipped.
class LineReader {
 public:
  static constexpr size_t kMaxLineBytes = size_t{64} << 20;

  // Throws an input Error when the file cannot be opened, or when its name ends in .gz and it is
  // not gzipped.
  explicit LineReader(const std::string& path, size_t max_line_bytes = kMaxLineBytes);
  LineReader(LineReader&&) noexcept;
  LineReader& operator=(LineReader&&) noexcept;
  ~LineReader();

  // False at the end of the file. A read error or a truncated gzip stream is an input Error.
  bool next(std::string& line);
  bool line_too_long() const { return too_long_; }  // only the front of the line was kept
  size_t max_line_bytes() const { return max_line_bytes_; }
  int64_t line_number() const { return line_number_; }  // of the line just read, from 1
  std::string where() const;                            // FILE:LINE

 private:
  bool refill();

  std::string path_;
  size_t max_line_bytes_;
  std::unique_ptr<InputFile> file_;
  std::string buffer_;
  size_t position_ = 0;  // in the buffer
  int64_t line_number_ = 0;
  bool too_long_ = false;
};

// Blank lines are passed over. Bad lines (no JSON, no UTF-8, too long) are input Errors, or with
// skip_bad_lines counted and passed over; a file that cannot be read to its end is always an Error.
class JsonLines {
 public:
  explicit JsonLines(const std::string& path, bool skip_bad_lines = false,
                     size_t max_line_bytes = LineReader::kMaxLineBytes);

  bool next(nlohmann::json& value);  // false at the end
  std::string where() const { return lines_.where(); }
  int64_t line_number() const { return lines_.line_number(); }

  // For whoever finds the contents of a line wrong: counts it, or throws `error` when bad lines are
  // not skipped.
  void reject(const Error& error);
  int64_t skipped() const { return skipped_; }
  const std::string& first_skipped() const { return first_skipped_; }  // its error's message

 private:
  LineReader lines_;
  bool skip_bad_lines_;
  std::string line_;
  int64_t skipped_ = 0;
  std::string first_skipped_;
};

// One line of JSON; an input Error that names `where` and the column.
nlohmann::json parse_json_line(const std::string& line, const std::string& where);

// The whole of a .txt or .txt.gz file, which is one document, byte for byte. Text that is not UTF-8
// is an input Error that names the line.
std::string read_text_file(const std::string& path);

// By the file's name; any other ending is an input Error that lists these.
enum class FileForm { text, json_lines };
FileForm file_form(const std::string& path);

}  // namespace cria

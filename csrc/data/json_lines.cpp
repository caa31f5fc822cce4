#include "cria/data/json_lines.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "cria/text/utf8.h"

#include "input_file.h"

namespace cria {

namespace {

constexpr size_t kBufferBytes = size_t{1} << 17;

}  // namespace

LineReader::LineReader(const std::string& path, size_t max_line_bytes)
    : path_(path), max_line_bytes_(max_line_bytes), file_(std::make_unique<InputFile>(path)) {}
LineReader::LineReader(LineReader&&) noexcept = default;
LineReader& LineReader::operator=(LineReader&&) noexcept = default;
LineReader::~LineReader() = default;

std::string LineReader::where() const { return fmt::format("{}:{}", path_, line_number_); }

bool LineReader::refill() {
  buffer_.resize(kBufferBytes);
  position_ = 0;
  buffer_.resize(
      file_->read(buffer_.data(), kBufferBytes, fmt::format("{}:{}", path_, line_number_ + 1)));
  return !buffer_.empty();
}

bool LineReader::next(std::string& line) {
  line.clear();
  too_long_ = false;
  bool any = false;
  while (position_ < buffer_.size() || refill()) {
    any = true;
    const size_t newline = buffer_.find('\n', position_);
    const size_t end = std::min(newline, buffer_.size());
    const size_t kept = std::min(end - position_, max_line_bytes_ - line.size());
    line.append(buffer_, position_, kept);
    too_long_ |= kept < end - position_;
    position_ = end;
    if (newline != std::string::npos) {
      ++position_;
      break;
    }
  }
  if (any) ++line_number_;
  return any;
}

JsonLines::JsonLines(const std::string& path, bool skip_bad_lines, size_t max_line_bytes)
    : lines_(path, max_line_bytes), skip_bad_lines_(skip_bad_lines) {}

bool JsonLines::next(nlohmann::json& value) {
  while (lines_.next(line_)) {
    const bool blank = line_.find_first_not_of(" \t\r") == std::string::npos;
    if (blank && !lines_.line_too_long()) continue;
    try {
      if (lines_.line_too_long()) {
        throw input_error(where(),
                          fmt::format("the line is longer than {} bytes", lines_.max_line_bytes()));
      }
      value = parse_json_line(line_, where());
      return true;
    } catch (const Error& error) {
      reject(error);
    }
  }
  return false;
}

void JsonLines::reject(const Error& error) {
  if (!skip_bad_lines_) throw error;
  if (skipped_ == 0) first_skipped_ = error.what();
  ++skipped_;
}

nlohmann::json parse_json_line(const std::string& line, const std::string& where) {
  try {
    return nlohmann::json::parse(line);
  } catch (const nlohmann::json::exception& error) {
    // "[json.exception.parse_error.101] parse error at line 1, column 5: syntax error …", with what
    // was read at the end, however long.
    std::string problem = error.what();
    problem.erase(0, problem.find("] ") + 2);
    if (problem.starts_with("parse error at line 1, ")) problem.erase(0, 23);
    throw input_error(where, "no JSON: " + problem.substr(0, 160));
  }
}

std::string read_text_file(const std::string& path) {
  InputFile file(path);
  std::string text;
  for (size_t count = kBufferBytes; count > 0;) {
    const size_t size = text.size();
    text.resize(size + kBufferBytes);
    count = file.read(text.data() + size, kBufferBytes, path);
    text.resize(size + count);
  }
  const size_t bad = invalid_utf8(text);
  if (bad != std::string::npos) {
    const auto line = std::count(text.begin(), text.begin() + static_cast<int64_t>(bad), '\n') + 1;
    throw input_error(fmt::format("{}:{}", path, line), "the line is not UTF-8",
                      "convert the file to UTF-8");
  }
  return text;
}

FileForm file_form(const std::string& path) {
  const std::string name = path.ends_with(".gz") ? path.substr(0, path.size() - 3) : path;
  if (name.ends_with(".jsonl")) return FileForm::json_lines;
  if (name.ends_with(".txt")) return FileForm::text;
  throw input_error(path, "its name says nothing about its form",
                    "data files end in .jsonl, .jsonl.gz, .txt or .txt.gz");
}

}  // namespace cria

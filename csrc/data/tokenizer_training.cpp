#include "cria/data/tokenizer_training.h"

#include <cmath>
#include <filesystem>
#include <fstream>

#include "cria/core/error.h"
#include "cria/core/random.h"
#include "cria/data/records.h"
#include "cria/text/sentencepiece_training.h"

namespace cria {

namespace {

// Keeps all lines, or `limit` of them drawn at random with equal chances (Vitter's algorithm R).
class LineSample {
 public:
  LineSample(int64_t limit, uint64_t seed) : limit_(limit), random_(seed, Purpose::data_shuffle) {}

  void add(std::string line) {
    const int64_t index = seen_++;
    if (limit_ == 0 || index < limit_) {
      lines_.push_back(std::move(line));
      return;
    }
    const uint64_t place =
        random_.below(static_cast<uint64_t>(index + 1), static_cast<uint64_t>(index));
    if (place < static_cast<uint64_t>(limit_)) lines_[place] = std::move(line);
  }

  void add_text(const std::string& text) {
    for (size_t begin = 0; begin < text.size();) {
      const size_t end = std::min(text.find('\n', begin), text.size());
      if (end > begin) add(text.substr(begin, end - begin));
      begin = end + 1;
    }
  }

  std::vector<std::string>& lines() { return lines_; }

 private:
  int64_t limit_;
  Random random_;
  int64_t seen_ = 0;
  std::vector<std::string> lines_;
};

void write_whole(const std::string& path, const std::string& bytes) {
  const std::string partial = path + ".partial";
  std::error_code ignored;
  const auto folder = std::filesystem::path(path).parent_path();
  if (!folder.empty()) std::filesystem::create_directories(folder, ignored);
  std::ofstream file(partial, std::ios::binary);
  if (!file) throw input_error(path, "cannot be written", "name a file in a folder of yours");
  file << bytes;
  file.close();
  std::error_code renamed;
  if (file) std::filesystem::rename(partial, path, renamed);
  if (!file || renamed) {
    std::filesystem::remove(partial, ignored);
    throw failure(path, "cannot be written", "is the disk full, or a folder in its place?");
  }
}

}  // namespace

std::string train_tokenizer(const TokenizerTraining& options) {
  if (options.files.empty()) throw input_error("data", "no files to learn a tokenizer from");
  if (options.output.empty()) throw input_error("output", "no file to write the tokenizer to");
  if (options.input_sentence_size < 0) {
    throw input_error("input_sentence_size", "must not be negative", "set 0 for all lines");
  }
  LineSample sample(options.input_sentence_size, options.seed);
  int64_t skipped = 0;
  for (const std::string& path : options.files) {
    RecordReader reader(path, options.skip_bad_lines);
    for (Record record; reader.next(record);) {
      for_each_text(record, [&](const std::string& text) { sample.add_text(text); });
    }
    skipped += reader.skipped();
  }
  std::vector<std::string>& lines = sample.lines();
  size_t bytes = 0;
  for (const std::string& line : lines) bytes += line.size();
  size_t next = 0;
  const std::string model = train_bpe(
      {.vocab_size = options.vocab_size, .character_coverage = options.character_coverage},
      [&](std::string& line) {
        if (next == lines.size()) return false;
        line = std::move(lines[next++]);
        return true;
      },
      "vocab_size");
  write_whole(options.output, model);
  return fmt::format("{} pieces from {} lines, {} bytes{}", options.vocab_size, lines.size(), bytes,
                     skipped > 0 ? fmt::format("; {} bad lines skipped", skipped) : "");
}

}  // namespace cria

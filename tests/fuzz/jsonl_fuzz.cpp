// Any bytes as a data file: they are read, or refused with an Error, and nothing else happens. The
// first byte chooses between strict and lenient reading and the line limit.
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>

#include <sys/mman.h>
#include <unistd.h>

#include "cria/data/preference_record.h"

namespace {

// A file in memory under a name that the reader takes for JSON Lines, plain or gzipped.
class MemoryFile {
 public:
  MemoryFile(const uint8_t* data, size_t size) : descriptor_(memfd_create("fuzz", 0)) {
    if (descriptor_ < 0 || write(descriptor_, data, size) != static_cast<ssize_t>(size)) abort();
  }
  ~MemoryFile() { close(descriptor_); }
  std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const bool skip_bad_lines = (data[0] & 1) != 0;
  const size_t max_line_bytes = (data[0] & 2) != 0 ? 64 : cria::LineReader::kMaxLineBytes;
  const MemoryFile file(data + 1, size - 1);
  try {
    cria::JsonLines lines(file.path(), skip_bad_lines, max_line_bytes);
    nlohmann::json line;
    while (lines.next(line)) {
      try {
        if (cria::is_preference(line)) {
          cria::parse_preference(line, lines.where());
          continue;
        }
        const cria::Record record = cria::parse_record(line, lines.where());
        cria::for_each_text(record, [](const std::string& text) {
          if (cria::is_anthropic_dialogue(text)) cria::parse_anthropic_dialogue(text, "text");
        });
      } catch (const cria::Error& error) {
        lines.reject(error);
      }
    }
  } catch (const cria::Error&) {
  }
  return 0;
}

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "cria/core/error.h"

#include "kernels/runtime/algorithm_file.h"

namespace cria::cuda {

namespace {

// The file, held against other processes (and other objects of this one) while it lives.
class HeldFile {
 public:
  explicit HeldFile(const std::string& path)
      : descriptor_(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666)) {
    if (descriptor_ >= 0 && flock(descriptor_, LOCK_EX) != 0) {
      close(descriptor_);
      descriptor_ = -1;
    }
  }
  ~HeldFile() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  HeldFile(const HeldFile&) = delete;

  explicit operator bool() const { return descriptor_ >= 0; }

  std::string read() const {
    std::string text(static_cast<size_t>(std::max<off_t>(0, lseek(descriptor_, 0, SEEK_END))), 0);
    size_t done = 0;
    while (done < text.size()) {
      const ssize_t count =
          pread(descriptor_, text.data() + done, text.size() - done, static_cast<off_t>(done));
      if (count <= 0) break;
      done += static_cast<size_t>(count);
    }
    text.resize(done);
    return text;
  }

  // Puts `text` at `offset`, and nothing after it.
  bool write(size_t offset, const std::string& text) const {
    const auto begin = static_cast<off_t>(offset);
    return ftruncate(descriptor_, begin) == 0 && pwrite(descriptor_, text.data(), text.size(),
                                                        begin) == static_cast<ssize_t>(text.size());
  }

 private:
  int descriptor_;
};

std::string file_name(std::string name) {
  std::replace_if(
      name.begin(), name.end(),
      [](unsigned char c) { return !std::isalnum(c) && c != '.' && c != '-'; }, '_');
  return name + ".algorithms";
}

std::string to_text(const AlgorithmFile::Algorithm& algorithm) {
  return fmt::format("{:016x}", fmt::join(algorithm, "-"));
}

std::optional<AlgorithmFile::Algorithm> from_text(const std::string& text) {
  AlgorithmFile::Algorithm algorithm;
  const char* position = text.c_str();
  for (uint64_t& word : algorithm) {
    char* end = nullptr;
    word = std::strtoull(position, &end, 16);
    if (end != position + 16) return {};
    position = *end == '-' ? end + 1 : end;
  }
  return *position == 0 ? std::optional(algorithm) : std::nullopt;
}

}  // namespace

std::string cache_directory() {
  const auto folder = [](const char* variable, const char* below) {
    const char* value = std::getenv(variable);
    return value && *value ? std::string(value) + below : std::string();
  };
  for (std::string found : {folder("CRIA_CACHE_DIR", ""), folder("XDG_CACHE_HOME", "/cria"),
                            folder("HOME", "/.cache/cria")}) {
    if (!found.empty()) return found;
  }
  return {};
}

AlgorithmFile::AlgorithmFile(const std::string& directory, const std::string& name)
    : path_(directory.empty() ? "" : directory + "/" + file_name(name)) {
  std::error_code ignored;  // whoever cannot write there goes without
  if (!directory.empty()) std::filesystem::create_directories(directory, ignored);
}

std::optional<AlgorithmFile::Algorithm> AlgorithmFile::find(
    const std::string& product, const std::function<Algorithm()>& search) {
  if (const auto known = known_.find(product); known != known_.end()) return known->second;
  if (path_.empty()) return {};
  const HeldFile file(path_);
  if (!file) return {};
  std::string text = file.read();
  text.resize(text.rfind('\n') + 1);  // a process that was killed may have left half a line
  read(text);
  if (const auto known = known_.find(product); known != known_.end()) return known->second;
  if (!file.write(text.size(), "")) return {};
  const Algorithm found = search();
  if (!file.write(text.size(), fmt::format("{} {}\n", product, to_text(found)))) return {};
  return known_[product] = found;
}

void AlgorithmFile::read(const std::string& text) {
  int line_number = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = text.find('\n', begin);
    const std::string line = text.substr(begin, end - begin);
    ++line_number;
    const size_t space = std::min(line.find(' '), line.size());
    const auto algorithm = from_text(line.substr(std::min(space + 1, line.size())));
    if (space == 0 || !algorithm) {
      throw input_error(fmt::format("{}:{}", path_, line_number), "not a product and its algorithm",
                        "delete the file: algorithms will be searched for again");
    }
    known_.emplace(line.substr(0, space), *algorithm);
    begin = end + 1;
  }
}

}  // namespace cria::cuda

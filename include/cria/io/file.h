// Files as cria reads and writes them: whole, mapped, or streamed; every failure is an Error with
// the path.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace cria {

// The contents of a file. An input Error when it cannot be read.
std::string read_file(const std::string& path);

// A file mapped read-only. An input Error when it cannot be opened, is empty or is no regular file.
class MappedFile {
 public:
  explicit MappedFile(const std::string& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::span<const std::byte> bytes_;
};

// A new file (an existing one is emptied), written with write(2) so that a full disk is seen where
// it happens. The first one opened makes the process ignore SIGXFSZ.
class OutputFile {
 public:
  explicit OutputFile(const std::string& path);
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile();  // closes without looking at errors: call close() when the contents matter

  void write(const void* data, size_t bytes);
  void close();

 private:
  std::string path_;
  int descriptor_;
};

// Beyond RLIMIT_FSIZE a write then fails with EFBIG, which becomes an Error, instead of killing the
// process with SIGXFSZ. Process-wide; main() calls it for the writers that do not use OutputFile.
void ignore_file_size_signal();

}  // namespace cria

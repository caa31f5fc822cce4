// A file that grows by pieces, each of which is on the disk before append() returns. What a killed
// process left behind its last whole piece is cut off by the next one, which says how much stands.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace cria {

class AppendFile {
 public:
  // Opens the file, or creates it, and keeps its first `size` bytes.
  AppendFile(const std::string& path, int64_t size);
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;
  ~AppendFile();

  void append(std::string_view bytes);

 private:
  const std::string path_;
  int descriptor_;
};

}  // namespace cria

// Bytes of a plain or gzipped file, for the readers of data/json_lines.h.
#pragma once

#include <cstddef>
#include <string>

#include <zlib.h>

namespace cria {

class InputFile {
 public:
  explicit InputFile(const std::string& path);
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;
  ~InputFile() { gzclose_r(file_); }

  // How many bytes were read; 0 at the end. `where` is named when the file is damaged there.
  size_t read(char* data, size_t bytes, const std::string& where);

 private:
  gzFile file_ = nullptr;
};

}  // namespace cria

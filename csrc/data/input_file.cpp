#include "input_file.h"

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "cria/core/error.h"

namespace cria {

InputFile::InputFile(const std::string& path) {
  if (std::filesystem::is_directory(path)) {
    throw input_error(path, "this is a folder", "name a data file in it");
  }
  errno = 0;
  file_ = gzopen(path.c_str(), "rb");
  if (!file_) throw input_error(path, fmt::format("cannot be opened: {}", std::strerror(errno)));
  gzbuffer(file_, 1u << 17);
  if (path.ends_with(".gz") && gzdirect(file_)) {
    gzclose_r(file_);
    throw input_error(path, "its name ends in .gz but it is not gzipped",
                      "compress it or rename it");
  }
}

size_t InputFile::read(char* data, size_t bytes, const std::string& where) {
  const int count = gzread(file_, data, static_cast<unsigned>(bytes));
  if (count > 0) return static_cast<size_t>(count);
  int code = Z_OK;
  const char* message = gzerror(file_, &code);
  if (code == Z_BUF_ERROR) {
    throw input_error(where, "the gzip stream is cut short", "copy the file again");
  }
  if (code == Z_ERRNO) {
    throw input_error(where, fmt::format("cannot be read: {}", std::strerror(errno)));
  }
  if (code != Z_OK) {
    throw input_error(where, fmt::format("the gzip stream is damaged: {}", message),
                      "copy the file again");
  }
  return 0;
}

}  // namespace cria

#include "cria/io/append_file.h"

#include <cerrno>
#include <filesystem>

#include <fcntl.h>
#include <unistd.h>

#include "cria/core/error.h"
#include "cria/io/file.h"

namespace cria {

namespace {

// The entry of a new file in its directory; some file systems have nothing to sync and say EINVAL.
void sync_parent(const std::string& path) {
  const auto parent = std::filesystem::absolute(path).parent_path();
  const int descriptor = open(parent.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) throw system_failure(parent, "cannot open to sync");
  const bool synced = fsync(descriptor) == 0 || errno == EINVAL;
  close(descriptor);
  if (!synced) throw system_failure(parent, "cannot sync to disk");
}

}  // namespace

AppendFile::AppendFile(const std::string& path, int64_t size)
    : path_(path), descriptor_(open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666)) {
  if (descriptor_ < 0) throw system_failure(path, "cannot open to write");
  ignore_file_size_signal();
  if (ftruncate(descriptor_, size) != 0 || lseek(descriptor_, size, SEEK_SET) != size ||
      fsync(descriptor_) != 0) {
    const Error error = system_failure(path, fmt::format("cannot cut to {} bytes", size));
    close(descriptor_);
    throw error;
  }
  sync_parent(path);
}

AppendFile::~AppendFile() { close(descriptor_); }

void AppendFile::append(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw system_failure(path_, "cannot write");
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  if (fsync(descriptor_) != 0) throw system_failure(path_, "cannot sync to disk");
}

}  // namespace cria

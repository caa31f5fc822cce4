#include "cria/io/file.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cria/core/error.h"

namespace cria {

namespace {

Error cannot_open(const std::string& path) {
  return input_error(path, std::string("cannot open: ") + std::strerror(errno));
}

// Closes on every way out.
class Descriptor {
 public:
  explicit Descriptor(const std::string& path) : value_(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (value_ < 0) throw cannot_open(path);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { ::close(value_); }

  int value() const { return value_; }

 private:
  int value_;
};

Error cannot_write(const std::string& path) {
  const int code = errno;
  return failure(path, std::string("cannot write: ") + std::strerror(code),
                 code == ENOSPC || code == EDQUOT || code == EFBIG
                     ? "make room or raise the limit; outputs completed earlier are intact"
                     : "");
}

}  // namespace

std::string read_file(const std::string& path) {
  const Descriptor descriptor(path);
  std::string contents;
  std::array<char, 1 << 16> piece;
  while (true) {
    const ssize_t got = ::read(descriptor.value(), piece.data(), piece.size());
    if (got == 0) return contents;
    if (got > 0) {
      contents.append(piece.data(), static_cast<size_t>(got));
    } else if (errno != EINTR) {
      throw input_error(path, std::string("cannot read: ") + std::strerror(errno));
    }
  }
}

MappedFile::MappedFile(const std::string& path) {
  const Descriptor descriptor(path);
  struct stat status = {};
  if (fstat(descriptor.value(), &status) != 0) throw cannot_open(path);
  if (!S_ISREG(status.st_mode)) throw input_error(path, "is not a file");
  if (status.st_size == 0) throw input_error(path, "is empty", "copy or write it again");
  const size_t size = static_cast<size_t>(status.st_size);
  void* data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor.value(), 0);
  if (data == MAP_FAILED) throw system_failure(path, "cannot map");
  bytes_ = {static_cast<const std::byte*>(data), size};
}

MappedFile::MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  return *this;
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

void ignore_file_size_signal() {
  static const bool ignored = std::signal(SIGXFSZ, SIG_IGN) != SIG_ERR;
  CRIA_ASSERT(ignored);
}

OutputFile::OutputFile(const std::string& path) : path_(path) {
  ignore_file_size_signal();
  descriptor_ = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor_ < 0) throw system_failure(path, "cannot create");
}

OutputFile::~OutputFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void OutputFile::write(const void* data, size_t bytes) {
  CRIA_ASSERT(descriptor_ >= 0);
  const char* next = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t written = ::write(descriptor_, next, bytes);
    if (written >= 0) {
      next += written;
      bytes -= static_cast<size_t>(written);
    } else if (errno != EINTR) {
      throw cannot_write(path_);
    }
  }
}

void OutputFile::close() {
  if (descriptor_ < 0) return;
  if (::close(std::exchange(descriptor_, -1)) != 0) throw cannot_write(path_);
}

}  // namespace cria

#include "cria/io/directory_lock.h"

#include <cerrno>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "cria/core/error.h"

namespace cria {

DirectoryLock::DirectoryLock(const std::string& where, const std::string& directory)
    : descriptor_(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  if (descriptor_ < 0) throw system_failure(directory, "cannot open");
  if (flock(descriptor_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return;
  close(descriptor_);
  throw input_error(where, "another process is writing to " + directory,
                    "wait until it ends, or choose another directory");
}

DirectoryLock::~DirectoryLock() { close(descriptor_); }

}  // namespace cria

// Keeps a second process from writing into the same directory at the same time.
#pragma once

#include <string>

namespace cria {

// Held as long as the object lives; the system lets go of it when the process dies, however it
// does. Where a file system has no locks, nothing is locked.
class DirectoryLock {
 public:
  // The directory must exist. An input Error, naming `where`, when another process holds it.
  DirectoryLock(const std::string& where, const std::string& directory);
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;
  ~DirectoryLock();

 private:
  int descriptor_;
};

}  // namespace cria

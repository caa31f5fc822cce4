// Directories and files that are whole or not there, whatever moment the process or the machine
// dies: written beside as .NAME.partial-PID, synced, renamed into place, the parent synced.
//
// One process at a time writes a given destination: whoever starts removes what earlier writers of
// that destination left behind.
#pragma once

#include <string>

namespace cria {

class AtomicDirectory {
 public:
  // Creates the partial directory (and the parents of the destination).
  explicit AtomicDirectory(const std::string& destination);
  AtomicDirectory(const AtomicDirectory&) = delete;
  AtomicDirectory& operator=(const AtomicDirectory&) = delete;
  ~AtomicDirectory();  // without commit(): the partial directory is removed, nothing has happened

  // Where to write the files.
  const std::string& path() const { return partial_; }

  // Syncs everything written and puts it in place. An existing directory of that name stays until
  // then: the two are exchanged in one system call where the file system can, otherwise the old one
  // is renamed away for a moment (and put back by the next writer if the process dies in between).
  void commit();

 private:
  std::string destination_;
  std::string partial_;
  bool committed_ = false;
};

// The same for one file.
void write_file_atomically(const std::string& path, const std::string& contents);

// Renames the directory to a partial name first, so that a half-deleted one is never seen.
void remove_directory_atomically(const std::string& path);

// Removes what killed writers of destinations in `parent` left, for every destination whose name
// begins with `prefix`; puts back a directory that was renamed away and not yet replaced.
void clean_leftovers(const std::string& parent, const std::string& prefix);

}  // namespace cria

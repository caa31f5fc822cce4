#include "cria/io/atomic_directory.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <optional>

#include <fcntl.h>
#include <unistd.h>

#include "cria/core/error.h"
#include "cria/io/file.h"

namespace cria {

namespace {

namespace fs = std::filesystem;

constexpr const char* kPartial = ".partial-";    // being written, or being deleted
constexpr const char* kReplaced = ".replaced-";  // the old directory, renamed away by commit()

// /dir/NAME -> /dir/.NAME.partial-PID
std::string hidden_name(const fs::path& destination, const char* mark) {
  const std::string name =
      fmt::format(".{}{}{}", destination.filename().string(), mark, static_cast<long>(getpid()));
  return (destination.parent_path() / name).string();
}

// The NAME of .NAME.partial-PID; nothing for any other name.
std::optional<std::string> name_behind(const std::string& hidden, const std::string& mark) {
  const size_t end = hidden.rfind(mark);
  if (hidden.empty() || hidden[0] != '.' || end == std::string::npos || end < 2) return {};
  const std::string process = hidden.substr(end + mark.size());
  const auto is_digit = [](unsigned char c) { return std::isdigit(c) != 0; };
  if (process.empty() || !std::all_of(process.begin(), process.end(), is_digit)) return {};
  return hidden.substr(1, end - 1);
}

void clean_leftovers_where(const fs::path& parent,
                           const std::function<bool(const std::string&)>& wanted) {
  std::error_code ignored;
  std::vector<fs::path> entries;
  for (const auto& entry : fs::directory_iterator(parent, ignored)) entries.push_back(entry.path());
  for (const fs::path& path : entries) {
    const std::string hidden = path.filename().string();
    if (const auto name = name_behind(hidden, kPartial); name && wanted(*name)) {
      fs::remove_all(path, ignored);
    } else if (const auto replaced = name_behind(hidden, kReplaced);
               replaced && wanted(*replaced)) {
      if (fs::exists(parent / *replaced)) {
        fs::remove_all(path, ignored);
      } else {
        fs::rename(path, parent / *replaced, ignored);
      }
    }
  }
}

// Absolute and without symbolic links, so that the link's target is replaced and not the link.
fs::path resolve(const std::string& destination) {
  std::error_code error;
  fs::path path = fs::weakly_canonical(fs::absolute(destination), error);
  if (error) throw failure(destination, "cannot resolve: " + error.message());
  if (!path.has_filename()) path = path.parent_path();
  if (!path.has_filename()) throw input_error(destination, "is no place to write to");
  return path;
}

void make_parents(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  if (error) throw failure(path.parent_path(), "cannot create directory: " + error.message());
}

void sync(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) throw system_failure(path, "cannot open to sync");
  // Some file systems have nothing to sync for a directory and say EINVAL.
  const bool synced = fsync(descriptor) == 0 || errno == EINVAL;
  const int code = errno;
  close(descriptor);
  errno = code;
  if (!synced) throw system_failure(path, "cannot sync to disk");
}

void sync_tree(const std::string& directory) {
  std::error_code error;
  fs::recursive_directory_iterator entries(directory, error);
  while (!error && entries != fs::recursive_directory_iterator()) {
    if (entries->is_regular_file() || entries->is_directory()) sync(entries->path());
    entries.increment(error);
  }
  if (error) throw failure(directory, "cannot list: " + error.message());
  sync(directory);
}

void rename_or_throw(const std::string& from, const std::string& to) {
  if (std::rename(from.c_str(), to.c_str()) != 0) {
    throw system_failure(to, "cannot rename " + from + " to it");
  }
}

bool exchange(const std::string& a, const std::string& b) {
  if (renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) == 0) return true;
  if (errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP) return false;
  throw system_failure(b, "cannot exchange it with " + a);
}

}  // namespace

AtomicDirectory::AtomicDirectory(const std::string& destination) {
  const fs::path path = resolve(destination);
  if (fs::exists(path) && !fs::is_directory(path)) {
    throw input_error(destination, "is not a directory", "choose another place to write to");
  }
  make_parents(path);
  clean_leftovers_where(path.parent_path(),
                        [&](const std::string& name) { return name == path.filename(); });
  destination_ = path.string();
  partial_ = hidden_name(path, kPartial);
  std::error_code error;
  fs::create_directory(partial_, error);
  if (error) throw failure(partial_, "cannot create directory: " + error.message());
}

AtomicDirectory::~AtomicDirectory() {
  std::error_code ignored;
  if (!committed_) fs::remove_all(partial_, ignored);
}

void AtomicDirectory::commit() {
  CRIA_ASSERT(!committed_);
  sync_tree(partial_);
  std::string old;  // where the directory that was there before is now
  if (!fs::exists(destination_)) {
    rename_or_throw(partial_, destination_);
  } else if (exchange(partial_, destination_)) {
    old = partial_;
  } else {
    old = hidden_name(destination_, kReplaced);
    rename_or_throw(destination_, old);
    try {
      rename_or_throw(partial_, destination_);
    } catch (...) {
      std::rename(old.c_str(), destination_.c_str());
      throw;
    }
  }
  committed_ = true;
  sync(fs::path(destination_).parent_path());
  std::error_code ignored;  // what cannot be removed now goes with the next write
  if (!old.empty()) fs::remove_all(old, ignored);
}

void write_file_atomically(const std::string& path, const std::string& contents) {
  std::error_code error;
  if (fs::exists(path, error) && !fs::is_regular_file(path, error)) {
    // A device or a pipe: nothing to rename over.
    OutputFile file(path);
    file.write(contents.data(), contents.size());
    file.close();
    return;
  }
  const fs::path destination = resolve(path);
  make_parents(destination);
  clean_leftovers_where(destination.parent_path(),
                        [&](const std::string& name) { return name == destination.filename(); });
  const std::string partial = hidden_name(destination, kPartial);
  try {
    OutputFile file(partial);
    file.write(contents.data(), contents.size());
    file.close();
    sync(partial);
    rename_or_throw(partial, destination);
  } catch (...) {
    std::remove(partial.c_str());
    throw;
  }
  sync(destination.parent_path());
}

void remove_directory_atomically(const std::string& path) {
  const fs::path directory = resolve(path);
  const std::string hidden = hidden_name(directory, kPartial);
  rename_or_throw(directory, hidden);
  std::error_code error;
  fs::remove_all(hidden, error);
  if (error) throw failure(path, "cannot delete: " + error.message());
}

void clean_leftovers(const std::string& parent, const std::string& prefix) {
  clean_leftovers_where(parent, [&](const std::string& name) { return name.starts_with(prefix); });
}

}  // namespace cria

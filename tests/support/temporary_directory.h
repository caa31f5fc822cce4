// A directory of a test's own, removed with everything in it at the end.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

#include <gtest/gtest.h>

namespace cria {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    const std::string placeholder(6, 'X');  // that mkdtemp replaces
    std::string name =
        (std::filesystem::temp_directory_path() / ("cria-test-" + placeholder)).string();
    if (!mkdtemp(name.data())) ADD_FAILURE() << "cannot create " << name;
    path_ = name;
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace cria

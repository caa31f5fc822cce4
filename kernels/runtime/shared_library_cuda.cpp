#include <cstdlib>

#include <dlfcn.h>
#include <glob.h>

#include "cria/core/error.h"

#include "kernels/runtime/shared_library.h"

namespace cria::cuda {

namespace {

std::string folder_of(const char* variable) {
  const char* value = std::getenv(variable);
  return value ? value : "";
}

// Files that a pattern of the shell matches, in the order of their names.
std::vector<std::string> matches(const std::string& pattern) {
  std::vector<std::string> files;
  glob_t found = {};
  if (glob(pattern.c_str(), 0, nullptr, &found) == 0) {
    files.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  }
  globfree(&found);
  return files;
}

}  // namespace

std::vector<std::string> library_places(const std::string& file) {
  std::vector<std::string> places = {file};
  for (const char* variable : {"CUDA_HOME", "CUDA_PATH"}) {
    const std::string toolkit = folder_of(variable);
    if (!toolkit.empty()) places.push_back(toolkit + "/lib64/" + file);
  }
  places.push_back(CRIA_CUDA_LIBRARIES "/" + file);
  places.push_back("/usr/local/cuda/lib64/" + file);
  for (const std::string& prefix :
       {folder_of("VIRTUAL_ENV"), folder_of("CONDA_PREFIX"), folder_of("HOME") + "/.local",
        std::string("/usr/local"), std::string("/usr")}) {
    if (prefix.empty()) continue;
    const auto wheels =
        matches(prefix + "/lib/python3*/*-packages/nvidia/*/lib/" + file);  // site- or dist-
    places.insert(places.end(), wheels.begin(), wheels.end());
  }
  return places;
}

SharedLibrary::SharedLibrary(const std::string& name, const std::string& file,
                             const std::string& source)
    : name_(name) {
  std::string reason;
  for (const std::string& place : library_places(file)) {
    handle_ = dlopen(place.c_str(), RTLD_NOW);
    if (handle_ != nullptr) {
      place_ = place;
      return;
    }
    if (reason.empty()) reason = dlerror();
  }
  throw failure(name, reason,
                source +
                    ", or name the folder of another copy (PyTorch brings one: nvidia/*/lib) "
                    "in LD_LIBRARY_PATH");
}

void* SharedLibrary::find(const char* symbol) const {
  void* const found = dlsym(handle_, symbol);
  if (found == nullptr) {
    throw failure(name_, fmt::format("{} has no {}", place_, symbol), "install a newer one");
  }
  return found;
}

}  // namespace cria::cuda

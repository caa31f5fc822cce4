// Libraries that are loaded when they are first needed: cuBLASLt, NCCL, cuDNN. They take a while to
// load, which runs on a CPU should not pay, and cria starts on machines that do not have them.
#pragma once

#include <string>
#include <vector>

namespace cria::cuda {

// Where a file is looked for, in this order: the loader's path (LD_LIBRARY_PATH, ldconfig), the
// toolkit (CUDA_HOME, CUDA_PATH, that of the build, /usr/local/cuda), PyTorch's wheels (of the
// virtual or Conda environment, the user, the machine).
std::vector<std::string> library_places(const std::string& file);

// Never unloaded.
class SharedLibrary {
 public:
  // Throws an Error that says that `name` could not be loaded, why, and where to get it: `source`
  // ("install the CUDA Toolkit's cuBLAS").
  SharedLibrary(const std::string& name, const std::string& file, const std::string& source);

  template <typename Function>
  void find(const char* symbol, Function& function) const {
    function = reinterpret_cast<Function>(find(symbol));
  }
  const std::string& place() const { return place_; }  // that it was loaded from
  void* handle() const { return handle_; }             // dlopen's

 private:
  void* find(const char* symbol) const;

  std::string name_;
  std::string place_;
  void* handle_ = nullptr;
};

}  // namespace cria::cuda

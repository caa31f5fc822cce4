// The backends that kernels/ makes, for the factory in csrc/ops/backend.cpp: no CUDA header needed.
#pragma once

#include <memory>
#include <string>

#include "cria/ops/backend.h"

namespace cria {

class LibraryAttention;

// Why a device cannot be used on this machine and what to do about it; empty where it can.
struct MissingDevice {
  std::string problem;
  std::string remedy;
  explicit operator bool() const { return !problem.empty(); }
};

namespace cuda {
MissingDevice missing_device();  // never throws
std::unique_ptr<Backend> make_backend();
// Passes of a backend made here compute their attention by a library from here on.
void use_attention(Backend& backend, std::unique_ptr<LibraryAttention> attention);
}  // namespace cuda

namespace emulated {
std::unique_ptr<Backend> make_backend();
void use_attention(Backend& backend, std::unique_ptr<LibraryAttention> attention);
}  // namespace emulated

}  // namespace cria

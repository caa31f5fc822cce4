#include "cria/core/parallel.h"

#include "kernels/runtime/platform.h"

namespace cria::emulated {

Device device() { return Device::emulated; }

std::string device_description() {
  return fmt::format("emulated: CUDA kernels run by {} thread{} of the CPU", thread_count(),
                     thread_count() == 1 ? "" : "s");
}

Stream stream() { return {}; }

// Everything has run when its call returns.
void synchronize() {}
Event::Event() = default;
Event::~Event() = default;
void Event::record() {}
void Event::wait() {}

}  // namespace cria::emulated

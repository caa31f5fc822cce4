// Starting an emulated kernel: as kernels/device/launch.h says; it has run when launch returns,
// unless a graph is recorded. What a kernel throws, and what the emulator finds wrong with it, is
// thrown here.
#pragma once

#include <tuple>
#include <type_traits>
#include <utility>

#include "kernels/emulator/language.h"
#include "kernels/emulator/queue.h"

namespace cria::emulated {

// A grid that knows the line that launches it, which names the kernel in errors.
struct Grid {
  dim3 size;
  CallSite where;

  Grid(dim3 blocks, CallSite launched_at = CallSite::current())
      : size(blocks), where(launched_at) {}
  Grid(unsigned x, CallSite launched_at = CallSite::current()) : size(x), where(launched_at) {}
  Grid(unsigned x, unsigned y, unsigned z = 1, CallSite launched_at = CallSite::current())
      : size(x, y, z), where(launched_at) {}
};

// Runs body(arguments) as every thread of the grid; `kernel` is what observers are told.
void run_grid(const Grid& grid, dim3 block, size_t shared_bytes, const void* kernel,
              void (*body)(const void*), const void* arguments);

template <typename... Parameters, typename... Arguments>
void launch(void (*kernel)(Parameters...), Grid grid, dim3 block, size_t shared_bytes, Stream,
            Arguments&&... arguments) {
  static_assert((std::is_trivially_copyable_v<Parameters> && ...),
                "a kernel's parameters are copied to the device byte by byte");
  struct Call {
    void (*kernel)(Parameters...);
    std::tuple<Parameters...> arguments;
  };
  const Call call{kernel, std::tuple<Parameters...>(std::forward<Arguments>(arguments)...)};
  enqueue([grid, block, shared_bytes, call] {
    run_grid(
        grid, block, shared_bytes, reinterpret_cast<const void*>(call.kernel),
        [](const void* pointer) {
          const Call& c = *static_cast<const Call*>(pointer);
          std::apply(c.kernel, c.arguments);
        },
        &call);
  });
}

}  // namespace cria::emulated

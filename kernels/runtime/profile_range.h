// Named ranges in the timeline of a profiler (Nsight Systems). Without one attached they cost a
// call through a null pointer; the emulator has none.
#pragma once

#include <cstdio>

#include "kernels/device/device.h"

#ifdef CRIA_CUDA_RUNTIME
#include <nvtx3/nvToolsExt.h>
#endif

namespace cria::CRIA_GPU {

#ifdef CRIA_CUDA_RUNTIME

inline void begin_profile_range(const char* name) { nvtxRangePushA(name); }
inline void begin_profile_range(const char* name, int index) {
  char text[32];
  std::snprintf(text, sizeof text, "%s %d", name, index);
  nvtxRangePushA(text);
}
inline void end_profile_range() { nvtxRangePop(); }

#else

inline void begin_profile_range(const char*) {}
inline void begin_profile_range(const char*, int) {}
inline void end_profile_range() {}

#endif

}  // namespace cria::CRIA_GPU

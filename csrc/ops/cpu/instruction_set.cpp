#include "cpu_ops.h"

namespace cria::cpu {

std::string instruction_set() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  std::string text = CRIA_CPU_LEVEL;
  if (__builtin_cpu_supports("avx512bf16")) text += " with bf16";
  // CPUID leaf 7, EDX bit 22: AMX tiles of bf16 (GCC 12 has no name for it here).
  uint32_t a = 7, b = 0, c = 0, d = 0;
  __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
  if (d & (1u << 22)) text += " and AMX";
  return text;
#else
  return "portable";
#endif
}

void check_instruction_set() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool ok = std::string(CRIA_CPU_LEVEL) == "x86-64-v4"
                      ? __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                            __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")
                      : __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (!ok) {
    throw input_error(
        "cpu",
        fmt::format("this program was built for {}, which the CPU of this machine lacks",
                    CRIA_CPU_LEVEL),
        "build it here (make build), or configure with -DCRIA_CPU=x86-64-v3");
  }
#endif
}

}  // namespace cria::cpu

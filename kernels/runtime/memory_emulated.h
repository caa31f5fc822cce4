// The emulated device's memory, for those who look on. Not under AddressSanitizer, which does so
// itself.
#pragma once

#include <cstddef>
#include <map>

namespace cria::emulated {

std::map<void*, size_t> device_regions();  // that are allocated, and their bytes

}  // namespace cria::emulated

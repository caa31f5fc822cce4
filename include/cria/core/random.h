// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as
// 1, 2, 3", SC 2011). A number depends only on what it is for: (seed, purpose, example, position).
// It never depends on threads, ranks or the order of calls.
#pragma once

#include <array>
#include <cstdint>

#include "cria/core/host_device.h"

namespace cria {

enum class Purpose : uint16_t {
  parameter_init = 1,
  data_shuffle = 2,
  data_mixture = 3,
  token_sampling = 4,
  stochastic_rounding = 5,
  data_synthesis = 6,
  answer_order = 7,
  instructions = 8,
  data_share = 9,
};

using PhiloxBlock = std::array<uint32_t, 4>;

// Ten rounds over one counter; the published test vectors hold.
CRIA_HOST_DEVICE constexpr PhiloxBlock philox4x32(PhiloxBlock counter,
                                                  std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = uint64_t{0xD2511F53u} * counter[0];
    const uint64_t product1 = uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key[0],
               static_cast<uint32_t>(product1),
               static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key[1],
               static_cast<uint32_t>(product0)};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return counter;
}

class Random {
 public:
  CRIA_HOST_DEVICE constexpr Random(uint64_t seed, Purpose purpose, uint64_t example = 0)
      : key_{static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)},
        purpose_(static_cast<uint32_t>(purpose)),
        example_(example) {}

  // Four independent words; position < 2^48.
  CRIA_HOST_DEVICE constexpr PhiloxBlock words(uint64_t position) const {
    return philox4x32({static_cast<uint32_t>(position),
                       (purpose_ << 16) | static_cast<uint32_t>((position >> 32) & 0xffffu),
                       static_cast<uint32_t>(example_), static_cast<uint32_t>(example_ >> 32)},
                      key_);
  }

  // Uniform in [0, 1), 24 bits.
  CRIA_HOST_DEVICE constexpr float uniform(uint64_t position) const {
    return static_cast<float>(words(position)[0] >> 8) * 0x1p-24f;
  }

  // Uniform integer in [0, bound), 1 <= bound <= 2^32: the high part of a 64 x 32 bit product.
  CRIA_HOST_DEVICE constexpr uint64_t below(uint64_t bound, uint64_t position) const {
    const PhiloxBlock w = words(position);
    return (w[0] * bound + ((w[1] * bound) >> 32)) >> 32;
  }

  // Standard normal (Box-Muller in double precision).
  float normal(uint64_t position) const;

 private:
  std::array<uint32_t, 2> key_;
  uint32_t purpose_;
  uint64_t example_;
};

}  // namespace cria

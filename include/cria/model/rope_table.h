// The rotary angles of every position, computed once on the host in fp32 in the very steps of
// transformers' LlamaRotaryEmbedding, so that long positions agree:
//   inverse_frequency[i] = 1 / theta^(2i/D);  angle = position * inverse_frequency[i]
#pragma once

#include <cstdint>
#include <vector>

namespace cria {

std::vector<float> rope_inverse_frequencies(int head_dim, double theta);  // [D/2]

// table: [positions, D] with cos of the D/2 angles, then sin.
void fill_rope_table(float* table, int64_t positions, int head_dim, double theta);

}  // namespace cria

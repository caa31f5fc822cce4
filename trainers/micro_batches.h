// From the global batch of a step to the passes of one rank.
#pragma once

#include <span>
#include <vector>

#include "cria/data/packed_batch.h"

namespace cria {

// Sequences that must share a pass: one alone for token losses, chosen and rejected for
// preferences.
using Group = std::vector<Example>;

struct MicroBatch {
  std::vector<const Group*> groups;
  PackedBatch packed;  // their sequences in the same order
};

// The groups of this rank (contiguous, ranks balanced by tokens), filled greedily into passes of at
// most max_tokens. A function of the arguments alone; a rank may get none. A group longer than
// max_tokens is an input Error.
std::vector<MicroBatch> split(std::span<const Group> batch, int64_t max_tokens, int rank,
                              int rank_count);

}  // namespace cria

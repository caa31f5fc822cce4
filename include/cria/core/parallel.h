// Parallel loops over the cores, on OpenMP. The split is static, so which thread does what never
// changes between runs with the same thread count; bodies must write to places of their own and
// must not throw.
#pragma once

#include <algorithm>
#include <cstdint>

#include <omp.h>

namespace cria {

inline int thread_count() { return omp_get_max_threads(); }

// body(begin, end) over [0, count) in contiguous ranges, one per thread; a loop smaller than
// `grain` items per thread uses fewer threads.
template <typename Body>
void parallel_for(int64_t count, int64_t grain, const Body& body) {
  const int64_t wanted = grain > 0 ? (count + grain - 1) / grain : count;
  const int threads = static_cast<int>(std::min<int64_t>(thread_count(), wanted));
  if (threads <= 1) {
    if (count > 0) body(int64_t{0}, count);
    return;
  }
#pragma omp parallel num_threads(threads)
  {
    const int64_t parts = omp_get_num_threads();
    const int64_t part = omp_get_thread_num();
    const int64_t begin = count * part / parts;
    const int64_t end = count * (part + 1) / parts;
    if (begin < end) body(begin, end);
  }
}

// body(item) for items of uneven cost, handed out as threads become free. Every item must write
// only its own outputs, so that the order does not matter.
template <typename Body>
void parallel_for_each(int64_t count, const Body& body) {
#pragma omp parallel for schedule(dynamic, 1)
  for (int64_t item = 0; item < count; ++item) body(item);
}

// body(item) for items whose costs, 1 at least, are known: each thread takes a contiguous range of
// them, about an equal share of the sum. For short items this is ahead of parallel_for_each: cores
// do not contend for a counter, and an item meets the core whose cache has what it read last time.
template <typename Cost, typename Body>
void parallel_for_shares(int64_t count, const Cost& cost, const Body& body) {
  int64_t total = 0;
  for (int64_t item = 0; item < count; ++item) total += cost(item);
  parallel_for(total, 1, [&](int64_t begin, int64_t end) {
    int64_t place = 0;  // an item belongs to the share in which it begins
    for (int64_t item = 0; item < count && place < end; ++item) {
      if (place >= begin) body(item);
      place += cost(item);
    }
  });
}

}  // namespace cria

// Rotary position embedding in place: a thread turns the pairs (i, half + i) of one head for as
// many neighbouring i as 16 bytes hold. Memory: the q and k heads read and written once; the table
// row of a token is shared by its heads and comes from the cache.
#include "cria/ops/rope.h"

#include "kernels/device/access_width.h"
#include "kernels/device/device.h"
#include "kernels/ops.h"
#include "kernels/rotate.h"

namespace cria::CRIA_GPU {

namespace {

// Blocks of a token; its items are its heads times the vectors of half a head.
template <int kWidth, typename T>
__global__ void __launch_bounds__(RowBlocks::kMaxThreads)
    rotate_kernel(T* __restrict__ qkv, const int32_t* __restrict__ positions,
                  const float* __restrict__ table, int64_t columns, int heads, int half,
                  float direction) {
  const int per_head = half / kWidth;
  const auto item = static_cast<int>(item_of_row());
  const int head = item / per_head;
  if (head >= heads) return;
  const int64_t t = blockIdx.x;
  const int i = item % per_head * kWidth;
  const float* angles = table + static_cast<int64_t>(positions[t]) * 2 * half + i;
  T* first = qkv + t * columns + static_cast<int64_t>(head) * 2 * half + i;
  T* second = first + half;
  auto x1 = load<kWidth>(first);
  auto x2 = load<kWidth>(second);
  rotate(x1, x2, angles, half, direction);
  store(first, x1);
  store(second, x2);
}

// Turns the query and key heads of every row by `direction` (1 or -1) times their angle.
void rotate_heads(Tensor qkv, Tensor positions, Tensor table, int n_heads, int n_kv_heads,
                  float direction, Stream stream) {
  const int64_t tokens = qkv.shape[0];
  const int64_t columns = qkv.shape[1];
  const int64_t head_dim = table.shape[1];
  const auto half = static_cast<int>(head_dim / 2);
  const int heads = n_heads + n_kv_heads;
  CRIA_ASSERT(head_dim % 2 == 0 && columns == (heads + n_kv_heads) * head_dim);
  CRIA_ASSERT(positions.size() == tokens);
  if (tokens == 0) return;
  visit_dtype(qkv.dtype, [&]<typename T>() {
    visit_width<kVectorWidth<T>>(half, {qkv, table}, [&]<int kWidth>() {
      const RowBlocks blocks(tokens, int64_t{heads} * (half / kWidth));
      launch(rotate_kernel<kWidth, T>, blocks.grid, blocks.block, 0, stream, qkv.as<T>(),
             positions.as<int32_t>(), table.as<float>(), columns, heads, half, direction);
    });
  });
}

}  // namespace

void rope_forward(const RopeForward& args, Stream stream) {
  rotate_heads(args.qkv, args.positions, args.table, args.n_heads, args.n_kv_heads, 1.0f, stream);
}

void rope_backward(const RopeBackward& args, Stream stream) {
  rotate_heads(args.qkv_gradient, args.positions, args.table, args.n_heads, args.n_kv_heads, -1.0f,
               stream);
}

}  // namespace cria::CRIA_GPU

// Attention's weights of chosen rows, the largest over heads. One warp a weight: its lanes share
// the product of a query and a key, one head after the other. Memory: of each row's context the
// keys of all heads, read from the caches where rows are neighbours; the maxima read and written
// once.
#include "cria/ops/attention_maxima.h"

#include "kernels/device/access_width.h"
#include "kernels/device/device.h"
#include "kernels/device/warp.h"
#include "kernels/ops.h"

namespace cria::CRIA_GPU {

namespace {

constexpr int kWeightsPerBlock = 4;

template <typename T>
__global__ void __launch_bounds__(kWeightsPerBlock* kWarpSize)
    maxima_kernel(float* __restrict__ maxima, const T* __restrict__ qkv,
                  const float* __restrict__ log_sum_exp, const int32_t* __restrict__ rows,
                  const int32_t* __restrict__ starts, int64_t row_count, int64_t columns,
                  int64_t tokens, int n_heads, int n_kv_heads, int head_dim, float scale) {
  const int64_t weight = static_cast<int64_t>(blockIdx.x) * kWeightsPerBlock + warp_index();
  if (weight >= row_count * columns) return;
  const int64_t row = rows[weight / columns];
  const int64_t key = starts[weight / columns] + weight % columns;
  if (key > row) return;
  const int64_t width = static_cast<int64_t>(n_heads + 2 * n_kv_heads) * head_dim;
  const int group = n_heads / n_kv_heads;
  float most = maxima[weight];
  for (int head = 0; head < n_heads; ++head) {
    const T* q = qkv + row * width + head * head_dim;
    const T* k = qkv + key * width + (n_heads + head / group) * head_dim;
    float dot = 0.0f;
    for (int i = lane(); i < head_dim; i += kWarpSize) {
      dot = fmaf(static_cast<float>(q[i]), static_cast<float>(k[i]), dot);
    }
    dot = warp_sum(dot);
    most = fmaxf(most, expf(scale * dot - log_sum_exp[head * tokens + row]));
  }
  if (lane() == 0) maxima[weight] = most;
}

}  // namespace

void attention_maxima(const AttentionMaxima& args, Stream stream) {
  const int64_t count = args.rows.size();
  const int64_t columns = args.maxima.shape[1];
  CRIA_ASSERT(args.maxima.shape[0] == count && args.starts.size() == count);
  if (count * columns == 0) return;
  const int heads = args.n_heads + 2 * args.n_kv_heads;
  visit_dtype(args.qkv.dtype, [&]<typename T>() {
    launch(maxima_kernel<T>, flat_grid<kWeightsPerBlock>(count * columns),
           dim3(kWeightsPerBlock * kWarpSize), 0, stream, args.maxima.as<float>(), args.qkv.as<T>(),
           args.log_sum_exp.as<float>(), args.rows.as<int32_t>(), args.starts.as<int32_t>(), count,
           columns, args.qkv.shape[0], args.n_heads, args.n_kv_heads,
           static_cast<int>(args.qkv.shape[1] / heads), args.scale);
  });
}

}  // namespace cria::CRIA_GPU

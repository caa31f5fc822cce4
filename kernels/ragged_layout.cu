// A thread for each sequence and one for the end.
#include "kernels/device/access_width.h"
#include "kernels/ragged_layout.h"

namespace cria::CRIA_GPU {

namespace {

constexpr int kThreads = 128;

__global__ void __launch_bounds__(kThreads)
    ragged_layout_kernel(int32_t* __restrict__ qkv_offsets, int32_t* __restrict__ output_offsets,
                         int32_t* __restrict__ head_offsets, int32_t* __restrict__ lengths,
                         const int32_t* __restrict__ sequence_offsets, int64_t sequences,
                         int64_t places, int qkv_columns, int output_columns, int n_heads) {
  const int64_t i = flat_item();
  if (i > places) return;
  const int32_t begin = sequence_offsets[i < sequences ? i : sequences];
  qkv_offsets[i] = begin * qkv_columns;
  output_offsets[i] = begin * output_columns;
  head_offsets[i] = begin * n_heads;
  if (i < places) lengths[i] = i < sequences ? sequence_offsets[i + 1] - begin : 0;
}

}  // namespace

void ragged_layout(const RaggedLayout& args, Stream stream) {
  const int64_t places = args.lengths.size();
  const int64_t sequences = args.sequence_offsets.size() - 1;
  CRIA_ASSERT(sequences >= 0 && sequences <= places);
  for (const Tensor& offsets : {args.qkv_offsets, args.output_offsets, args.head_offsets}) {
    CRIA_ASSERT(offsets.size() == places + 1);
  }
  launch(ragged_layout_kernel, flat_grid<kThreads>(places + 1), dim3(kThreads), 0, stream,
         args.qkv_offsets.as<int32_t>(), args.output_offsets.as<int32_t>(),
         args.head_offsets.as<int32_t>(), args.lengths.as<int32_t>(),
         static_cast<const int32_t*>(args.sequence_offsets.as<int32_t>()), sequences, places,
         args.qkv_columns, args.output_columns, args.n_heads);
}

}  // namespace cria::CRIA_GPU

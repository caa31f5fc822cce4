#include "cria/core/parallel.h"

#include "cpu_ops.h"
#include "rotate_heads.h"

namespace cria::cpu {

namespace {

// Turns the query and key heads of every row by `direction` (1 or -1) times their angle.
void rotate(Tensor qkv, Tensor positions_tensor, Tensor table_tensor, int n_heads, int n_kv_heads,
            float direction) {
  const int64_t tokens = qkv.shape[0];
  const int64_t columns = qkv.shape[1];
  const int64_t head_dim = table_tensor.shape[1];
  CRIA_ASSERT(head_dim % 2 == 0 && columns == (n_heads + 2 * n_kv_heads) * head_dim);
  const int32_t* positions = positions_tensor.as<int32_t>();
  for (int64_t t = 0; t < tokens; ++t) {
    CRIA_ASSERT(positions[t] >= 0 && positions[t] < table_tensor.shape[0]);
  }
  const float* table = table_tensor.as<float>();

  visit_dtype(qkv.dtype, [&]<typename T>() {
    T* rows = qkv.as<T>();
    parallel_for(tokens, 16, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        rotate_heads(rows + t * columns, n_heads + n_kv_heads, head_dim / 2,
                     table + positions[t] * head_dim, direction);
      }
    });
  });
}

}  // namespace

void rope_forward(const RopeForward& args) {
  rotate(args.qkv, args.positions, args.table, args.n_heads, args.n_kv_heads, 1.0f);
}

void rope_backward(const RopeBackward& args) {
  rotate(args.qkv_gradient, args.positions, args.table, args.n_heads, args.n_kv_heads, -1.0f);
}

}  // namespace cria::cpu

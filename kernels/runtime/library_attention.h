// Attention of packed passes by a library in the place of cria's kernels: what the backend asks of
// it. Args, shapes and formulas as in cria/ops/attention.h, but for the layout of log_sum_exp,
// which is the library's own: its backward reads what its forward wrote.
#pragma once

#include "cria/ops/attention.h"

namespace cria {

class LibraryAttention {
 public:
  virtual ~LibraryAttention() = default;

  // Tensors of other dtypes go to cria's kernels.
  virtual bool takes(DType dtype) const = 0;
  virtual size_t forward_workspace_bytes(int64_t tokens, int n_heads, int n_kv_heads,
                                         int head_dim) = 0;
  virtual void forward(const AttentionForward& args) = 0;
  virtual size_t backward_workspace_bytes(int64_t tokens, int n_heads, int n_kv_heads,
                                          int head_dim) = 0;
  virtual void backward(const AttentionBackward& args) = 0;
};

}  // namespace cria

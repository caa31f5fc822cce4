// Scaled dot-product attention of cuDNN 9, forward and backward, as a graph for each shape. The
// library is loaded when it is asked for; its frontend, headers that build the graphs, is needed
// when cria is built. No CUDA header needed.
//
// The pack is cuDNN's layout THD: q, k and v are read where the fused product left them, each
// sequence at an offset, its length as a padding mask, the causal mask from its first row.
// log_sum_exp is [T, n_heads] here. Backward is deterministic: on compute capability 9.0 that takes
// cuDNN 9.25, whose ordered sum of the queries' gradients needs memory linear in T; older ones keep
// the gradients of all scores, T times the longest sequence.
//
// Shapes are rounded up to powers of two (sequences, longest sequence, tokens), so that graphs are
// few; the plan is the first that cuDNN's heuristics propose, unmeasured.
#pragma once

#include <memory>

#include "kernels/runtime/library_attention.h"
#include "kernels/runtime/make_backend.h"

namespace cria::cuda {

// Why cuDNN's attention cannot be had here and what to do about it; empty where it can. Never
// throws.
MissingDevice missing_cudnn_attention();

// The least version of cuDNN (as cudnnGetVersion counts) with the deterministic backward pass of
// packs on GPUs of a compute capability; 0: none.
int64_t cudnn_needed_by(int major);

std::unique_ptr<LibraryAttention> make_cudnn_attention();

}  // namespace cria::cuda

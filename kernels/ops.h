// The launchers of the CUDA backend: each op of the op interface as a function that starts its
// kernels on a stream. Shapes, formulas and rounding stand in the op's public header; the kernel
// and its launcher in the .cu of that name.
//
// Every source of kernels/ is compiled by nvcc into namespace cria::cuda and, where the build has
// the emulator, by the host compiler into cria::emulated: CRIA_GPU is the one being compiled.
#pragma once

#include "cria/ops/backend.h"

#include "kernels/device/device.h"

namespace cria::CRIA_GPU {

void cast(Tensor destination, Tensor source, Stream stream);

void embedding_forward(const EmbeddingForward& args, Stream stream);
size_t embedding_backward_workspace_bytes(int64_t tokens, int64_t vocab_size);
void embedding_backward(const EmbeddingBackward& args, Stream stream);

void rmsnorm_forward(const RmsNormForward& args, Stream stream);
size_t rmsnorm_backward_workspace_bytes(int64_t tokens, int64_t hidden_size);
void rmsnorm_backward(const RmsNormBackward& args, Stream stream);

void linear_forward(const LinearForward& args, Stream stream);
void linear_backward_input(const LinearBackwardInput& args, Stream stream);
void linear_backward_weight(const LinearBackwardWeight& args, Stream stream);

void rope_forward(const RopeForward& args, Stream stream);
void rope_backward(const RopeBackward& args, Stream stream);

size_t attention_workspace_bytes(int64_t tokens, int n_heads, int n_kv_heads, int head_dim,
                                 DType dtype);
void attention_forward(const AttentionForward& args, Stream stream);
size_t attention_backward_workspace_bytes(int64_t tokens, int n_heads, int n_kv_heads, int head_dim,
                                          DType dtype);
void attention_backward(const AttentionBackward& args, Stream stream);
void attention_maxima(const AttentionMaxima& args, Stream stream);

void kv_cache_write(const KvCacheWrite& args, Stream stream);
size_t decode_attention_workspace_bytes(int64_t rows, int64_t max_context, int n_heads,
                                        int head_dim);
void decode_attention(const DecodeAttention& args, Stream stream);

void swiglu_forward(const SwigluForward& args, Stream stream);
void swiglu_backward(const SwigluBackward& args, Stream stream);

size_t token_logprob_workspace_bytes(int64_t tokens, int64_t hidden_size, int64_t vocab_size,
                                     DType dtype);
void token_logprob_forward(const TokenLogprobForward& args, Stream stream);
void token_logprob_backward(const TokenLogprobBackward& args, Stream stream);
void token_logprob_fused(const TokenLogprobFused& args, Stream stream);

void score_head_forward(const ScoreHeadForward& args, Stream stream);
size_t score_head_backward_workspace_bytes(int64_t tokens, int64_t hidden_size);
void score_head_backward(const ScoreHeadBackward& args, Stream stream);

void adamw(const AdamW& args, Stream stream);
size_t sum_of_squares_workspace_bytes(int64_t elements);
void sum_of_squares(const SumOfSquares& args, Stream stream);

size_t sampling_workspace_bytes(int64_t rows, int64_t vocab_size);
void sampling(const Sampling& args, Stream stream);

}  // namespace cria::CRIA_GPU

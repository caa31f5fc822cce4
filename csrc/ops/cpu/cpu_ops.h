// The CPU backend: every op is a free function in a file of its own; CpuBackend forwards to them.
#pragma once

#include "cria/ops/backend.h"

namespace cria::cpu {

void copy_from_host(Tensor destination, const void* source);
void copy_to_host(void* destination, Tensor source);
void copy(Tensor destination, Tensor source);
void cast(Tensor destination, Tensor source);
void zero(Tensor destination);
void embedding_forward(const EmbeddingForward& args);
size_t embedding_backward_workspace_bytes(int64_t tokens, int64_t vocab_size);
void embedding_backward(const EmbeddingBackward& args);
void rmsnorm_forward(const RmsNormForward& args);
size_t rmsnorm_backward_workspace_bytes(int64_t tokens, int64_t hidden_size);
void rmsnorm_backward(const RmsNormBackward& args);
size_t linear_packed_bytes(Tensor values, LinearUse use);
void linear_pack(const LinearPack& args);
void linear_forward(const LinearForward& args);
void linear_backward_input(const LinearBackwardInput& args);
void linear_backward_weight(const LinearBackwardWeight& args);
void rope_forward(const RopeForward& args);
void rope_backward(const RopeBackward& args);
size_t attention_workspace_bytes(int64_t tokens, int n_heads, int n_kv_heads, int head_dim,
                                 DType dtype);
void attention_forward(const AttentionForward& args);
size_t attention_backward_workspace_bytes(int64_t tokens, int n_heads, int n_kv_heads, int head_dim,
                                          DType dtype);
void attention_backward(const AttentionBackward& args);
void attention_maxima(const AttentionMaxima& args);
void kv_cache_write(const KvCacheWrite& args);
size_t decode_attention_workspace_bytes(int64_t rows, int64_t max_context, int n_heads,
                                        int head_dim);
void decode_attention(const DecodeAttention& args);
void swiglu_forward(const SwigluForward& args);
void swiglu_backward(const SwigluBackward& args);
size_t token_logprob_workspace_bytes(int64_t tokens, int64_t hidden_size, int64_t vocab_size,
                                     DType dtype);
void token_logprob_forward(const TokenLogprobForward& args);
void token_logprob_backward(const TokenLogprobBackward& args);
void token_logprob_fused(const TokenLogprobFused& args);
void score_head_forward(const ScoreHeadForward& args);
size_t score_head_backward_workspace_bytes(int64_t tokens, int64_t hidden_size);
void score_head_backward(const ScoreHeadBackward& args);
void adamw(const AdamW& args);
size_t sum_of_squares_workspace_bytes(int64_t elements);
void sum_of_squares(const SumOfSquares& args);
size_t sampling_workspace_bytes(int64_t rows, int64_t vocab_size);
void sampling(const Sampling& args);

// "AVX-512 with bf16 and AMX": what matters for speed and for which bits come out.
std::string instruction_set();

// Throws an input Error when this program was compiled for instructions that the CPU lacks.
void check_instruction_set();

}  // namespace cria::cpu

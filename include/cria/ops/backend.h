// The op interface: what a device must be able to do for cria to train and generate on it. One
// method per op, each taking the args struct of that op's header (shapes, formulas and rounding
// stand there).
//
// Contract: ops never allocate (beyond caches filled on first use of a shape) or synchronise; they
// run in the order of the calls. Floating tensors of one op share one dtype, fp32 or bf16, unless
// the header says otherwise. Sizes need not be multiples of anything. Scratch space is asked for by
// the matching
// *_workspace_bytes; a backend that needs none returns 0.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cria/core/buffer.h"
#include "cria/ops/adamw.h"
#include "cria/ops/attention.h"
#include "cria/ops/attention_maxima.h"
#include "cria/ops/decode_attention.h"
#include "cria/ops/embedding.h"
#include "cria/ops/linear.h"
#include "cria/ops/rmsnorm.h"
#include "cria/ops/rope.h"
#include "cria/ops/sampling.h"
#include "cria/ops/score_head.h"
#include "cria/ops/sum_of_squares.h"
#include "cria/ops/swiglu.h"
#include "cria/ops/token_logprob.h"

namespace cria {

// What a backend keeps of work that comes again and again: a CUDA graph.
class Recording {
 public:
  virtual ~Recording() = default;
};

class Backend {
 public:
  virtual ~Backend() = default;

  virtual Device device() const = 0;
  virtual std::string description() const = 0;  // "cpu, 2 threads, AVX-512 with bf16"
  virtual Memory& memory() = 0;

  // Moving data. Host pointers are ordinary memory. A source on the host may change as soon as the
  // call returns; copies to the host wait until the data is there.
  virtual void copy_from_host(Tensor destination, const void* source) = 0;
  virtual void copy_to_host(void* destination, Tensor source) = 0;
  virtual void copy(Tensor destination, Tensor source) = 0;  // same bytes
  virtual void cast(Tensor destination,
                    Tensor source) = 0;  // fp32 <-> bf16, rounds to nearest even
  virtual void zero(Tensor destination) = 0;
  virtual void synchronize() = 0;

  // Does what `work` does, which must be the same ops on the same tensors each time, with the same
  // figures in their arguments: only what the tensors hold may change between the calls. A GPU
  // records it at the second call and from then on queues the recording, without calling `work`;
  // others call it each time. Copies from and to the host cannot be part of it. An empty
  // `recording` begins anew.
  virtual void run_recorded(std::unique_ptr<Recording>& /*recording*/,
                            const std::function<void()>& work) {
    work();
  }

  // Names the calls up to the matching end in the timeline of a profiler: "layer 3".
  virtual void begin_range(const char* /*name*/, int /*index*/) {}
  virtual void end_range() {}

  virtual void embedding_forward(const EmbeddingForward& args) = 0;
  virtual size_t embedding_backward_workspace_bytes(int64_t tokens, int64_t vocab_size) = 0;
  virtual void embedding_backward(const EmbeddingBackward& args) = 0;

  virtual void rmsnorm_forward(const RmsNormForward& args) = 0;
  virtual size_t rmsnorm_backward_workspace_bytes(int64_t tokens, int64_t hidden_size) = 0;
  virtual void rmsnorm_backward(const RmsNormBackward& args) = 0;

  virtual size_t linear_packed_bytes(Tensor values, LinearUse use) = 0;
  // Whether packed copies are worth their memory in training too, where products have so many rows
  // that a library packs as it goes for little.
  virtual bool packing_pays_in_training(DType, LinearUse) const { return false; }
  virtual void linear_pack(const LinearPack& args) = 0;
  virtual void linear_forward(const LinearForward& args) = 0;
  virtual void linear_backward_input(const LinearBackwardInput& args) = 0;
  virtual void linear_backward_weight(const LinearBackwardWeight& args) = 0;

  virtual void rope_forward(const RopeForward& args) = 0;
  virtual void rope_backward(const RopeBackward& args) = 0;

  virtual size_t attention_workspace_bytes(int64_t tokens, int n_heads, int n_kv_heads,
                                           int head_dim, DType dtype) = 0;
  virtual void attention_forward(const AttentionForward& args) = 0;
  virtual size_t attention_backward_workspace_bytes(int64_t tokens, int n_heads, int n_kv_heads,
                                                    int head_dim, DType dtype) = 0;
  virtual void attention_backward(const AttentionBackward& args) = 0;
  virtual void attention_maxima(const AttentionMaxima& args) = 0;

  virtual void kv_cache_write(const KvCacheWrite& args) = 0;
  virtual size_t decode_attention_workspace_bytes(int64_t rows, int64_t max_context, int n_heads,
                                                  int head_dim) = 0;
  virtual void decode_attention(const DecodeAttention& args) = 0;

  virtual void swiglu_forward(const SwigluForward& args) = 0;
  virtual void swiglu_backward(const SwigluBackward& args) = 0;

  virtual size_t token_logprob_workspace_bytes(int64_t tokens, int64_t hidden_size,
                                               int64_t vocab_size, DType dtype) = 0;
  virtual void token_logprob_forward(const TokenLogprobForward& args) = 0;
  virtual void token_logprob_backward(const TokenLogprobBackward& args) = 0;
  virtual void token_logprob_fused(const TokenLogprobFused& args) = 0;

  virtual void score_head_forward(const ScoreHeadForward& args) = 0;
  virtual size_t score_head_backward_workspace_bytes(int64_t tokens, int64_t hidden_size) = 0;
  virtual void score_head_backward(const ScoreHeadBackward& args) = 0;

  virtual void adamw(const AdamW& args) = 0;
  virtual size_t sum_of_squares_workspace_bytes(int64_t elements) = 0;
  virtual void sum_of_squares(const SumOfSquares& args) = 0;

  virtual size_t sampling_workspace_bytes(int64_t rows, int64_t vocab_size) = 0;
  virtual void sampling(const Sampling& args) = 0;
};

// A backend by the name in the config: auto, cpu, cuda or emulated. `auto` takes a GPU where there
// is one. Throws an Error that says what is missing when the build or the machine does not have it.
std::unique_ptr<Backend> make_backend(const std::string& device);

// The devices that this build can use on this machine: cpu, emulated, cuda.
std::vector<std::string> usable_devices();

}  // namespace cria

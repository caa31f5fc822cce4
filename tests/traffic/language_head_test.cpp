// The language head: what its own kernels move between the products.
#include "traffic/op_traffic.h"

namespace cria::testing {

namespace {

constexpr DType kDTypes[] = {DType::f32, DType::bf16};

// One chunk of rows, all with a target.
struct LanguageHead {
  explicit LanguageHead(DType type)
      : dtype(type),
        hidden(Counted::random({kTokens, kHidden}, dtype)),
        hidden_gradient({kTokens, kHidden}, dtype),
        head(Counted::random({kVocab, kHidden}, dtype)),
        head_gradient({kVocab, kHidden}, DType::f32),
        targets(spread_ids(kTokens, kVocab)),
        logprobs({kTokens}, DType::f32),
        entropies({kTokens}, DType::f32),
        logprob_gradients(std::vector<float>(kTokens, -1.0f)),
        workspace(backend().token_logprob_workspace_bytes(kTokens, kHidden, kVocab, dtype)) {}

  std::string sizes() const {
    return fmt::format("{} × {}, vocabulary {} {}", int64_t{kTokens}, int64_t{kHidden},
                       int64_t{kVocab}, name(dtype));
  }
  // Hidden states are gathered for the product, and read by it.
  int64_t rows() const { return 2 * bytes_of({hidden}) + bytes_of({targets, logprobs, entropies}); }

  static constexpr int64_t kTokens = 32, kHidden = 128, kVocab = 32000;
  DType dtype;
  Counted hidden, hidden_gradient, head, head_gradient, targets, logprobs, entropies,
      logprob_gradients, workspace;
};

TEST(LanguageHead, Forward) {
  for (const DType dtype : kDTypes) {
    const LanguageHead p(dtype);
    const OpTraffic traffic =
        count_traffic({.op = "token_logprob_forward",
                       .sizes = p.sizes(),
                       .ideal_bytes = p.rows() + bytes_of(p.kTokens * p.kVocab, DType::f32),
                       .cached = {p.targets}},
                      [&](Backend& b) {
                        b.token_logprob_forward({.logprobs = p.logprobs,
                                                 .entropies = p.entropies,
                                                 .hidden = p.hidden,
                                                 .head = {.values = p.head},
                                                 .targets = p.targets,
                                                 .workspace = p.workspace});
                      });
    expect_streams(traffic);
    expect_no_conflicts(traffic);
  }
}

// The gradient of the logits takes a second pass over them, which L2 serves.
TEST(LanguageHead, BothDirections) {
  for (const DType dtype : kDTypes) {
    const LanguageHead p(dtype);
    const int64_t logits = p.kTokens * p.kVocab;
    const OpTraffic traffic =
        count_traffic({.op = "token_logprob_fused",
                       .sizes = p.sizes(),
                       .ideal_bytes = p.rows() + 2 * bytes_of({p.hidden_gradient}) +
                                      bytes_of({p.logprob_gradients}) +
                                      bytes_of(logits, DType::f32) + bytes_of(logits, dtype),
                       .cached = {p.workspace, p.targets}},
                      [&](Backend& b) {
                        b.token_logprob_fused({.logprobs = p.logprobs,
                                               .entropies = p.entropies,
                                               .hidden_gradient = p.hidden_gradient,
                                               .head_gradient = p.head_gradient,
                                               .hidden = p.hidden,
                                               .head = {.values = p.head},
                                               .targets = p.targets,
                                               .logprob_gradients = p.logprob_gradients,
                                               .workspace = p.workspace});
                      });
    expect_streams(traffic);
    expect_no_conflicts(traffic);
  }
}

}  // namespace

}  // namespace cria::testing

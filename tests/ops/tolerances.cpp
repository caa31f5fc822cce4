// How far an op may be from its double-precision reference, each line with its reason. eps is half
// a unit in the last place: 2^-24 for fp32, 2^-8 for bf16 (7 stored bits of mantissa). Inputs of
// the tests are exact in both dtypes, so only what the op rounds counts. The same numbers stand in
// docs/numerics.md.
#include <map>

#include "ops/op_test.h"

namespace cria::testing {

namespace {

constexpr double kEps32 = 0x1p-24;
constexpr double kEps16 = 0x1p-8;

struct Row {
  Tolerance fp32;
  Tolerance bf16;
};

const std::map<std::string, Row>& table() {
  static const std::map<std::string, Row> rows = {
      // Pure copies.
      {"copy", {{0, 0}, {0, 0}}},
      // One rounding of the result.
      {"cast", {{0, kEps32}, {0, kEps16}}},
      // The header fixes the order of the sums and the roundings, so the reference repeats them.
      {"embedding_backward", {{0, 0}, {0, 0}}},
      // d <= 288: the sum of squares is off by at most d eps, its root by half of that; a handful
      // of roundings more, then the rounding of the result. Also for the inverse root mean square.
      {"rmsnorm_forward", {{0, 160 * kEps32}, {0, kEps16 + 162 * kEps32}}},
      // r <= 1, |g| <= 16, |n| <= 5, mean |g n| <= 1: the mean is off by (d + 8) eps, the
      // difference cancels, so 5 (288 + 8) eps + 4 * 16 eps absolutely, then the rounding.
      {"rmsnorm_backward", {{1550 * kEps32, kEps32}, {1550 * kEps32, kEps16}}},
      // 130 terms of mean magnitude 1 at most, added in any order: 138 * 130 eps. The test of more
      // rows scales the bound with them: their chunks keep the additions in sequence under 150.
      {"rmsnorm_weight_gradient", {{20000 * kEps32, kEps32}, {20000 * kEps32, kEps16}}},
      // Two products of at most 5 and their sum, each rounded: 3 * 10 eps, then the rounding.
      {"rope", {{30 * kEps32, kEps32}, {30 * kEps32, kEps16}}},
      // Forward, rounded where it may be 5 sqrt 2 large in either component, then back: the turn
      // spreads both errors, cos^2 + sin^2 of the rounded table is off by 4 eps.
      {"rope_round_trip", {{90 * kEps32, kEps32}, {10 * kEps16, kEps16}}},
      // e^x within 4 eps, the sigmoid two more, two products; sigmoids below 1e-38 come out as 0.
      {"swiglu_forward", {{1e-37, 10 * kEps32}, {1e-37, kEps16 + 10 * kEps32}}},
      // Decay and update of weights of at most 5 at learning rate 0.01: an update of at most 0.01 *
      // 20 with ten roundings; then two roundings of the weight.
      {"adamw_parameters", {{4 * kEps32, 3 * kEps32}, {0, 0}}},
      // Two products of at most 2 and their sum, each rounded. bf16 moments are rounded to either
      // neighbour: up to a whole unit in the last place.
      {"adamw_moments", {{8 * kEps32, kEps32}, {8 * kEps32, 2 * kEps16}}},
      // A chunk of 4,096 in 8 partial sums or more: 512 additions in sequence, 3 across, 2 more.
      {"sum_of_squares", {{0, 520 * kEps32}, {0, 520 * kEps32}}},
      // Differences of logits over temperatures up to 40 with two roundings; e^x within 4 eps and
      // blocks of 256 terms make the logarithm of the sum wrong by 262 eps at most.
      {"sampling_logprob", {{350 * kEps32, 2 * kEps32}, {0, 0}}},
      // As forward; 1 + x (1 - s) cancels where it is off by (7 |x| + 4) eps: |x|, |up|, |dy| <=
      // 4.5 give 36 eps times 20.
      {"swiglu_backward", {{750 * kEps32, 10 * kEps32}, {750 * kEps32, kEps16 + 10 * kEps32}}},
      // Times the number of terms K; terms of scale 1. Partial sums grow as the root of their
      // number and each addition rounds one, so the errors walk to about 0.4 K eps; the largest of
      // 10^5 elements is 5 times that; doubled. bf16: products are exact, then the rounding.
      {"linear", {{4 * kEps32, 0}, {4 * kEps32, kEps16}}},
      // A weight is off by as much of itself as its score: at most 128 products of scale 1, whose
      // partial sums stay below 40, over sqrt 128: 128 additions of 20 eps * 0.09 each; the score
      // and log sum exp, below 16, by 24 eps more, the exponential by 2.
      {"attention_maxima", {{0, 256 * kEps32}, {0, 256 * kEps32}}},
      {"score_head", {{4 * kEps32, 0}, {4 * kEps32, kEps16}}},
      // Logits: as linear with d <= 64 terms of scale 2 / sqrt d, at temperature 0.7: 92 eps; minus
      // the largest and over the temperature, three roundings of at most 16: z is off by 140 eps.
      // The target's z and the sum are each off by that, exponentials and 64 additions in a lane by
      // 70 more; then the rounding. Logits are fp32 in bf16 models too.
      {"token_logprob", {{350 * kEps32, kEps32}, {350 * kEps32, kEps32}}},
      // The spread of log p is about 2, so 2 * 140 eps from z; the sums by 70 eps of at most 8.
      {"token_entropy", {{850 * kEps32, kEps32}, {850 * kEps32, kEps32}}},
      // In units of the sum of the terms' magnitudes. p is off by 350 eps of itself, 1 - p by twice
      // that where p is at most 2/3; the sum over 2501 or fewer terms walks to 5 * 50 eps. bf16: dz
      // rounds, then the result.
      {"token_logprob_gradient", {{1024 * kEps32, 0}, {2 * kEps16 + 1024 * kEps32, 0}}},
      // In the same units: a gradient kept in bf16 rounds after each of at most three chunks.
      {"token_head_gradient_storage", {{0, 0}, {3 * kEps16, 0}}},
      // Heads of at most 128: a score is off by 4 sqrt 128 = 46 eps, as linear; its exponential by
      // 4; the sum of at most 300 of them, partial sums of which round 300 times, walks 30; four
      // changes of the maximum, 6 each; the logarithm and its sum with a maximum below 16, 18.
      {"attention_log_sum_exp", {{128 * kEps32, kEps32}, {128 * kEps32, kEps32}}},
      // In units of the sum of p |v|: p is off by the score, its exponential and what divides it,
      // 46 + 4 + 104 eps, and the sum over the keys walks 30; then the rounding. With heads of 200
      // and at most 70 keys scores are off by 57 and sums walk 15: no more in total. The same holds
      // for the gradient.
      {"attention_output", {{192 * kEps32, kEps32}, {192 * kEps32, kEps16}}},
      // On tensor cores p rounds to bf16 before its product with v: eps16 more of each term.
      {"attention_output_tensor_cores", {{192 * kEps32, kEps32}, {kEps16 + 192 * kEps32, kEps16}}},
      {"decode_attention", {{192 * kEps32, kEps32}, {192 * kEps32, kEps16}}},
      // In units of the sums of p |do| and of p (|do| |v| + |do| |output|) |q or k|: p from a given
      // log sum exp below 16 is off by 46 + 4 + 16 eps, do v^T - D by 12, ds rounds three times and
      // the sums walk 30; then the rounding.
      {"attention_gradient", {{112 * kEps32, kEps32}, {112 * kEps32, kEps16}}},
      // On tensor cores p and ds round to bf16 before their products: eps16 more of each term.
      {"attention_gradient_tensor_cores",
       {{112 * kEps32, kEps32}, {kEps16 + 112 * kEps32, kEps16}}},
      // Through the rotary embedding: two products and their sum, three roundings more, and in
      // attention_turned_gradient one to the dtype: of the two parts, before they are turned, by
      // the CPU, or as above of p and ds by tensor cores that turn before they round. Both where
      // tensor cores round before another kernel turns.
      {"attention_turned_gradient", {{116 * kEps32, kEps32}, {kEps16 + 116 * kEps32, kEps16}}},
      {"attention_turned_gradient_tensor_cores",
       {{116 * kEps32, kEps32}, {2 * kEps16 + 116 * kEps32, kEps16}}},
  };
  return rows;
}

}  // namespace

Tolerance tolerance(const std::string& op, DType dtype) {
  const auto row = table().find(op);
  if (row == table().end()) {
    ADD_FAILURE() << "no tolerance for '" << op << "': add a line with its reason";
    return {0, 0};
  }
  return dtype == DType::f32 ? row->second.fp32 : row->second.bf16;
}

}  // namespace cria::testing

// Attention over packed sequences in double precision, straight from its formulas, with the
// magnitudes that the tolerances of the op count in.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace cria::testing {

struct AttentionShape {
  int n_heads;
  int n_kv_heads;
  int64_t head_dim;
  std::vector<int32_t> offsets;

  int64_t tokens() const { return offsets.back(); }
  int64_t output_columns() const { return n_heads * head_dim; }
  int64_t qkv_columns() const { return (n_heads + 2 * n_kv_heads) * head_dim; }
  int64_t key_column(int64_t head) const {
    return (n_heads + head / (n_heads / n_kv_heads)) * head_dim;
  }
  int64_t value_column(int64_t head) const { return key_column(head) + n_kv_heads * head_dim; }
  int max_sequence_length() const {
    int32_t longest = 0;
    for (size_t s = 0; s + 1 < offsets.size(); ++s) {
      longest = std::max(longest, offsets[s + 1] - offsets[s]);
    }
    return longest;
  }
  float scale() const { return 1.0f / std::sqrt(static_cast<float>(head_dim)); }
};

inline AttentionShape attention_shape(int n_heads, int n_kv_heads, int64_t head_dim,
                                      const std::vector<int32_t>& lengths) {
  AttentionShape shape{n_heads, n_kv_heads, head_dim, {0}};
  for (const int32_t length : lengths) shape.offsets.push_back(shape.offsets.back() + length);
  return shape;
}

// values, and for each of them the sum of the magnitudes of what was added up to it.
struct Measured {
  std::vector<double> values;
  std::vector<double> magnitudes;

  explicit Measured(int64_t count)
      : values(static_cast<size_t>(count)), magnitudes(static_cast<size_t>(count)) {}
  void add(int64_t index, double value, double magnitude) {
    values[index] += value;
    magnitudes[index] += magnitude;
  }
};

struct AttentionResult {
  Measured output;
  std::vector<double> log_sum_exp;  // [n_heads, T]
};

// body(head, row, first row of its sequence, probabilities of the rows first..row, log sum exp)
template <typename Body>
void for_each_attention_row(const AttentionShape& shape, const std::vector<double>& qkv,
                            const Body& body) {
  std::vector<double> p;
  for (size_t s = 0; s + 1 < shape.offsets.size(); ++s) {
    const int64_t first = shape.offsets[s];
    for (int64_t head = 0; head < shape.n_heads; ++head) {
      for (int64_t row = first; row < shape.offsets[s + 1]; ++row) {
        const double* q = qkv.data() + row * shape.qkv_columns() + head * shape.head_dim;
        p.assign(row - first + 1, 0.0);
        for (int64_t j = first; j <= row; ++j) {
          const double* k = qkv.data() + j * shape.qkv_columns() + shape.key_column(head);
          for (int64_t c = 0; c < shape.head_dim; ++c) p[j - first] += q[c] * k[c];
          p[j - first] *= static_cast<double>(shape.scale());
        }
        const double maximum = *std::max_element(p.begin(), p.end());
        double sum = 0;
        for (double& value : p) sum += value = std::exp(value - maximum);
        for (double& value : p) value /= sum;
        body(head, row, first, p, maximum + std::log(sum));
      }
    }
  }
}

inline AttentionResult reference_attention(const AttentionShape& shape,
                                           const std::vector<double>& qkv) {
  AttentionResult result{Measured(shape.tokens() * shape.output_columns()),
                         std::vector<double>(shape.n_heads * shape.tokens())};
  for_each_attention_row(
      shape, qkv, [&](int64_t head, int64_t row, int64_t first, const auto& p, double lse) {
        result.log_sum_exp[head * shape.tokens() + row] = lse;
        for (int64_t j = first; j <= row; ++j) {
          for (int64_t c = 0; c < shape.head_dim; ++c) {
            const double term =
                p[j - first] * qkv[j * shape.qkv_columns() + shape.value_column(head) + c];
            result.output.add(row * shape.output_columns() + head * shape.head_dim + c, term,
                              std::abs(term));
          }
        }
      });
  return result;
}

// `output` is what the forward pass has stored, so rounded to its dtype.
inline Measured reference_attention_backward(const AttentionShape& shape,
                                             const std::vector<double>& qkv,
                                             const std::vector<double>& output,
                                             const std::vector<double>& output_gradient) {
  Measured gradient(shape.tokens() * shape.qkv_columns());
  const auto scale = static_cast<double>(shape.scale());
  for_each_attention_row(
      shape, qkv, [&](int64_t head, int64_t row, int64_t first, const auto& p, double) {
        const int64_t q = row * shape.qkv_columns() + head * shape.head_dim;
        const double* o = output.data() + row * shape.output_columns() + head * shape.head_dim;
        const double* go =
            output_gradient.data() + row * shape.output_columns() + head * shape.head_dim;
        double dot = 0, dot_magnitude = 0;
        for (int64_t c = 0; c < shape.head_dim; ++c) {
          dot += o[c] * go[c];
          dot_magnitude += std::abs(o[c] * go[c]);
        }
        for (int64_t j = first; j <= row; ++j) {
          const int64_t k = j * shape.qkv_columns() + shape.key_column(head);
          const int64_t v = j * shape.qkv_columns() + shape.value_column(head);
          const double weight = p[j - first];
          double dp = 0, dp_magnitude = 0;
          for (int64_t c = 0; c < shape.head_dim; ++c) {
            dp += go[c] * qkv[v + c];
            dp_magnitude += std::abs(go[c] * qkv[v + c]);
            gradient.add(v + c, weight * go[c], weight * std::abs(go[c]));
          }
          const double ds = scale * weight * (dp - dot);
          const double ds_magnitude = scale * weight * (dp_magnitude + dot_magnitude);
          for (int64_t c = 0; c < shape.head_dim; ++c) {
            gradient.add(q + c, ds * qkv[k + c], ds_magnitude * std::abs(qkv[k + c]));
            gradient.add(k + c, ds * qkv[q + c], ds_magnitude * std::abs(qkv[q + c]));
          }
        }
      });
  return gradient;
}

// Turns the gradients of q and k back through the rotary embedding (cria/ops/rope.h).
inline void turn_back(Measured& gradient, const AttentionShape& shape,
                      const std::vector<int32_t>& positions, const std::vector<double>& table) {
  const int64_t half = shape.head_dim / 2;
  for (int64_t row = 0; row < shape.tokens(); ++row) {
    for (int64_t head = 0; head < shape.n_heads + shape.n_kv_heads; ++head) {
      for (int64_t i = 0; i < half; ++i) {
        const int64_t first = row * shape.qkv_columns() + head * shape.head_dim + i;
        const int64_t second = first + half;
        const double cosine = table[positions[row] * shape.head_dim + i];
        const double sine = table[positions[row] * shape.head_dim + half + i];
        const auto turn = [&](std::vector<double>& x, double c, double s, double minus) {
          const double turned = x[first] * c + x[second] * s;
          x[second] = x[second] * c + minus * x[first] * s;
          x[first] = turned;
        };
        turn(gradient.values, cosine, sine, -1);
        turn(gradient.magnitudes, std::abs(cosine), std::abs(sine), 1);
      }
    }
  }
}

// Values in units of the magnitudes, for bounds that are relative to these.
inline std::vector<double> in_units(const std::vector<double>& values,
                                    const std::vector<double>& magnitudes) {
  std::vector<double> result(values.size());
  for (size_t i = 0; i < values.size(); ++i) result[i] = values[i] / magnitudes[i];
  return result;
}

}  // namespace cria::testing

#include "cria/model/attention_probe.h"

namespace cria {

AttentionProbe::AttentionProbe(const Model& model, int64_t max_tokens, int64_t max_rows)
    : model_(model),
      max_tokens_(max_tokens),
      max_rows_(max_rows),
      activations_(model.config(), model.dtype(), {.max_tokens = max_tokens, .training = false}),
      batch_(max_tokens) {}

void AttentionProbe::reserve(Arena& arena) {
  activations_.reserve(arena, model_.backend());
  batch_.reserve(arena);
  arena.reserve(all_maxima_, "activations", DType::f32, Shape{max_rows_ * max_tokens_});
  arena.reserve(all_rows_, "activations", DType::i32, Shape{max_rows_});
  arena.reserve(all_starts_, "activations", DType::i32, Shape{max_rows_});
}

std::vector<float> AttentionProbe::maxima(std::span<const int32_t> ids,
                                          std::span<const int32_t> rows) {
  const auto tokens = static_cast<int64_t>(ids.size());
  const auto row_count = static_cast<int64_t>(rows.size());
  CRIA_ASSERT(tokens <= max_tokens_ && row_count <= max_rows_);
  Backend& backend = model_.backend();
  const ModelConfig& config = model_.config();
  const std::vector<Example> sequence = {{.ids = {ids.begin(), ids.end()},
                                          .labels = std::vector<int32_t>(ids.size(), kNoLabel),
                                          .weights = {}}};
  batch_.upload(backend, pack(sequence));

  std::vector<float> values(static_cast<size_t>(row_count * tokens));
  const Tensor maxima = all_maxima_.rows(0, row_count * tokens).view({row_count, tokens});
  const Tensor chosen = all_rows_.rows(0, row_count);
  const Tensor starts = all_starts_.rows(0, row_count);
  backend.copy_from_host(maxima, values.data());
  backend.copy_from_host(chosen, rows.data());
  const std::vector<int32_t> zeros(rows.size());  // the sequence is the first of its pack
  backend.copy_from_host(starts, zeros.data());
  transformer_forward(model_, activations_, batch_, [&](const LayerAttention& layer) {
    backend.attention_maxima({.maxima = maxima,
                              .qkv = layer.qkv,
                              .log_sum_exp = layer.log_sum_exp,
                              .rows = chosen,
                              .starts = starts,
                              .n_heads = config.num_attention_heads,
                              .n_kv_heads = config.num_key_value_heads,
                              .scale = layer.scale});
  });
  backend.copy_to_host(values.data(), maxima);
  return values;
}

}  // namespace cria

#include "cria/model/transformer.h"

#include <algorithm>
#include <cmath>

namespace cria {

Activations::Activations(const ModelConfig& config, DType dtype, const PassPlan& plan)
    : config_(config),
      dtype_(dtype),
      plan_{round_up_tokens(plan.max_tokens), plan.training, plan.recompute},
      planned_layers_(static_cast<size_t>(config.num_hidden_layers)),
      layers_(planned_layers_.size()) {}

void Activations::reserve(Arena& arena, Backend& backend) {
  recordings_.clear();
  const ModelConfig& c = config_;
  const int64_t T = plan_.max_tokens;
  const int64_t d = c.hidden_size;
  const auto plan = [&](Tensor& tensor, Shape shape) {
    arena.reserve(tensor, "activations", dtype_, shape);
  };
  const auto plan_fp32 = [&](Tensor& tensor, Shape shape) {
    arena.reserve(tensor, "activations", DType::f32, shape);
  };

  const bool keep_inputs = plan_.training;
  const bool keep_all = plan_.training && plan_.recompute == Recompute::none;
  for (size_t i = 0; i < planned_layers_.size(); ++i) {
    Layer& layer = planned_layers_[i];
    if (i == 0 || keep_inputs) plan(layer.input, {T, d});
    if (i > 0 && !keep_all) continue;
    plan_fp32(layer.input_rms, {T});
    plan(layer.qkv, {T, c.qkv_size()});
    plan(layer.attention_mix, {T, c.query_size()});
    plan_fp32(layer.log_sum_exp, {c.num_attention_heads, T});
    plan(layer.middle, {T, d});
    plan_fp32(layer.middle_rms, {T});
    plan(layer.gate_up, {T, 2 * c.intermediate_size});
  }
  plan(planned_.normed, {T, d});
  plan(planned_.branch, {T, d});
  plan(planned_.mlp_mid, {T, c.intermediate_size});
  plan(planned_.final_input, {T, d});
  plan_fp32(planned_.final_rms, {T});
  plan(planned_.hidden, {T, d});
  plan_fp32(probe_, {1});

  size_t bytes = backend.attention_workspace_bytes(T, c.num_attention_heads, c.num_key_value_heads,
                                                   c.head_dim, dtype_);
  bytes = std::max(bytes, backend.sum_of_squares_workspace_bytes(T * 2 * c.intermediate_size));
  if (plan_.training) {
    plan(planned_.gradient, {T, d});
    plan(planned_.normed_gradient, {T, d});
    plan(planned_.mix_gradient, {T, c.query_size()});
    plan(planned_.qkv_gradient, {T, c.qkv_size()});
    bytes = std::max({bytes,
                      backend.attention_backward_workspace_bytes(
                          T, c.num_attention_heads, c.num_key_value_heads, c.head_dim, dtype_),
                      backend.rmsnorm_backward_workspace_bytes(T, d),
                      backend.embedding_backward_workspace_bytes(T, c.vocab_size)});
  }
  arena.reserve_workspace(workspace_, bytes);
}

// Narrows every view to the tokens at hand, and points layers without buffers of their own to the
// first layer's.
void Activations::use(const DeviceBatch& batch) {
  const int64_t tokens = batch.tokens();
  const int64_t kept = batch.kept_tokens();
  CRIA_ASSERT(tokens <= plan_.max_tokens);
  const auto first = [](Tensor planned, int64_t rows) {
    return planned ? planned.rows(0, rows) : Tensor{};
  };
  const auto narrow = [&](Tensor planned) { return first(planned, tokens); };
  for (size_t i = 0; i < layers_.size(); ++i) {
    const Layer& own = planned_layers_[i];
    const Layer& rest = own.qkv ? own : planned_layers_[0];
    layers_[i] = {.input = narrow(own.input ? own.input : planned_layers_[0].input),
                  .input_rms = narrow(rest.input_rms),
                  .qkv = narrow(rest.qkv),
                  .attention_mix = narrow(rest.attention_mix),
                  .log_sum_exp = rest.log_sum_exp.view({rest.log_sum_exp.size()})
                                     .rows(0, config_.num_attention_heads * tokens)
                                     .view({config_.num_attention_heads, tokens}),
                  .middle = narrow(rest.middle),
                  .middle_rms = narrow(rest.middle_rms),
                  .gate_up = narrow(rest.gate_up)};
  }
  Layer& last = layers_.back();
  for (Tensor* tensor : {&last.middle, &last.middle_rms, &last.gate_up}) {
    *tensor = first(*tensor, kept);
  }
  const auto shared = [&](int64_t rows) {
    return Shared{.normed = first(planned_.normed, rows),
                  .branch = first(planned_.branch, rows),
                  .mlp_mid = first(planned_.mlp_mid, rows),
                  .final_input = first(planned_.final_input, rows),
                  .final_rms = first(planned_.final_rms, rows),
                  .hidden = first(planned_.hidden, rows),
                  .gradient = first(planned_.gradient, rows),
                  .normed_gradient = first(planned_.normed_gradient, rows),
                  .mix_gradient = first(planned_.mix_gradient, rows),
                  .qkv_gradient = first(planned_.qkv_gradient, rows)};
  };
  shared_ = shared(tokens);
  kept_ = shared(kept);
  kept_mix_ = {};
  if (kept < tokens) {
    // Its place is one that nothing else needs from attention's forward pass to its backward.
    const Tensor free = plan_.training ? shared_.qkv_gradient : last.qkv;
    kept_mix_ =
        free.flat(0, (kept + 1) * config_.query_size()).view({kept + 1, config_.query_size()});
  }
  hidden = shared_.hidden;
  hidden_gradient = shared_.normed_gradient;
}

std::string Activations::first_non_finite(Backend& backend) const {
  const auto bad = [&](Tensor tensor) {
    backend.sum_of_squares(
        {.output = probe_, .input = tensor.flat(0, tensor.size()), .workspace = workspace_});
    float sum = 0;
    backend.copy_to_host(&sum, probe_);
    return !std::isfinite(sum);
  };
  const bool all_layers = plan_.training && plan_.recompute == Recompute::none;
  for (size_t i = 0; i < layers_.size() && plan_.training; ++i) {
    const Layer& layer = layers_[i];
    if (bad(layer.input)) return fmt::format("input of layer {}", i);
    if (!all_layers) continue;
    if (bad(layer.qkv)) return fmt::format("q, k or v of layer {}", i);
    if (bad(layer.attention_mix)) return fmt::format("attention output of layer {}", i);
    if (bad(layer.middle)) return fmt::format("residual stream before the MLP of layer {}", i);
    if (bad(layer.gate_up)) return fmt::format("gate or up product of layer {}", i);
  }
  if (bad(kept_.final_input)) return "residual stream after the last layer";
  if (bad(shared_.hidden)) return "output of the final norm";
  return {};
}

// The ops of one transformer block, forward and backward.
class BlockPass {
 public:
  BlockPass(const Model& model, Activations& activations, const DeviceBatch& batch, int index)
      : model_(model),
        config_(model.config()),
        backend_(model.backend()),
        batch_(batch),
        recordings_(activations.recordings_),
        weights_(model.weights.layer(index)),
        layer_(activations.layers_[static_cast<size_t>(index)]),
        shared_(activations.shared_),
        keeps_all_(batch.keeps_all() || index + 1 < model.config().num_hidden_layers),
        kept_(keeps_all_ ? activations.shared_ : activations.kept_),
        kept_mix_(activations.kept_mix_),
        workspace_(activations.workspace_) {
    backend_.begin_range("layer", index);
  }
  ~BlockPass() { backend_.end_range(); }
  BlockPass(const BlockPass&) = delete;

  // Does `work`, ops of this block that have no arguments but its own and the batch's. Passes of
  // one shape are recorded (Backend::run_recorded); `gradients` is where a backward pass adds to.
  void recorded(const void* gradients, const std::function<void()>& work) {
    const Activations::BlockShape shape{.weights = weights_.attention_norm.data,
                                        .gradients = gradients,
                                        .batch = batch_.ids.data,
                                        .tokens = batch_.tokens(),
                                        .sequences = batch_.sequence_offsets.shape[0] - 1,
                                        .max_sequence_length = batch_.max_sequence_length(),
                                        .kept_tokens = batch_.kept_tokens()};
    if (recordings_.size() >= Activations::kMaxRecordings && !recordings_.contains(shape)) {
      return work();
    }
    backend_.run_recorded(recordings_[shape], work);
  }

  // normed = norm(input), where the residual stream entering the block is known already.
  void enter() { norm(shared_.normed, layer_.input, layer_.input_rms, weights_.attention_norm); }

  // The same, adding what the block before contributed: input = previous middle + branch.
  void enter_from(Tensor previous_middle) {
    add_and_norm(layer_.input, previous_middle, layer_.input_rms, weights_.attention_norm,
                 shared_.normed);
  }

  // From normed to gate_up; everything that backward needs is in the layer's buffers then.
  void forward_to_gate_up() {
    product(layer_.qkv, shared_.normed, weights_.qkv);
    backend_.rope_forward({.qkv = layer_.qkv,
                           .positions = batch_.positions,
                           .table = model_.rope_table,
                           .n_heads = config_.num_attention_heads,
                           .n_kv_heads = config_.num_key_value_heads});
    backend_.attention_forward({.output = layer_.attention_mix,
                                .log_sum_exp = layer_.log_sum_exp,
                                .qkv = layer_.qkv,
                                .sequence_offsets = batch_.sequence_offsets,
                                .n_heads = config_.num_attention_heads,
                                .n_kv_heads = config_.num_key_value_heads,
                                .max_sequence_length = batch_.max_sequence_length(),
                                .scale = attention_scale(),
                                .workspace = workspace_});
    if (!keeps_all_) {
      gather_kept(mix(), layer_.attention_mix);
      gather_kept(layer_.middle, layer_.input);
    }
    product(kept_.branch, mix(), weights_.attention_out);
    add_and_norm(layer_.middle, keeps_all_ ? layer_.input : layer_.middle, layer_.middle_rms,
                 weights_.mlp_norm, kept_.normed);
    product(layer_.gate_up, kept_.normed, weights_.gate_up);
  }

  // branch = what the MLP adds to the residual stream.
  void forward_down() {
    backend_.swiglu_forward({.output = kept_.mlp_mid, .gate_up = layer_.gate_up});
    product(kept_.branch, kept_.mlp_mid, weights_.down);
  }

  // shared gradient: in, of the residual stream after the block; out, of the one before it.
  void backward(const LayerTensors& gradients) {
    // MLP. The gradient of gate_up takes its place, and mlp_mid that of its own gradient.
    product_backward_input(kept_.mlp_mid, kept_.gradient, weights_.down);
    backend_.swiglu_backward({.gate_up_gradient = layer_.gate_up,
                              .output = kept_.mlp_mid,
                              .output_gradient = kept_.mlp_mid,
                              .gate_up = layer_.gate_up});
    product_backward_weight(gradients.down, kept_.gradient, kept_.mlp_mid);
    norm(kept_.normed, layer_.middle, layer_.middle_rms, weights_.mlp_norm);
    product_backward(kept_.normed_gradient, gradients.gate_up, layer_.gate_up, kept_.normed,
                     weights_.gate_up);
    norm_backward(gradients.mlp_norm, kept_, kept_.gradient, layer_.middle, layer_.middle_rms,
                  weights_.mlp_norm);

    // Attention.
    Tensor residual_gradient = shared_.gradient;
    if (keeps_all_) {
      product_backward(shared_.mix_gradient, gradients.attention_out, shared_.gradient,
                       layer_.attention_mix, weights_.attention_out);
    } else {
      product_backward(mix(), gradients.attention_out, kept_.gradient, mix(),
                       weights_.attention_out);
      scatter_kept(shared_.mix_gradient, kept_mix_);
      residual_gradient = shared_.branch;
      scatter_kept(residual_gradient, shared_.gradient.rows(0, batch_.kept_tokens() + 1));
    }
    backend_.attention_backward({.qkv_gradient = shared_.qkv_gradient,
                                 .output_gradient = shared_.mix_gradient,
                                 .output = layer_.attention_mix,
                                 .log_sum_exp = layer_.log_sum_exp,
                                 .qkv = layer_.qkv,
                                 .sequence_offsets = batch_.sequence_offsets,
                                 .n_heads = config_.num_attention_heads,
                                 .n_kv_heads = config_.num_key_value_heads,
                                 .max_sequence_length = batch_.max_sequence_length(),
                                 .scale = attention_scale(),
                                 .positions = batch_.positions,
                                 .rope_table = model_.rope_table,
                                 .workspace = workspace_});
    norm(shared_.normed, layer_.input, layer_.input_rms, weights_.attention_norm);
    product_backward(shared_.normed_gradient, gradients.qkv, shared_.qkv_gradient, shared_.normed,
                     weights_.qkv);
    norm_backward(gradients.attention_norm, shared_, residual_gradient, layer_.input,
                  layer_.input_rms, weights_.attention_norm);
  }

  // What follows the last block.
  void forward_final_norm() {
    const Tensor weight = model_.weights.final_norm();
    if (keeps_all_) {
      return add_and_norm(kept_.final_input, layer_.middle, kept_.final_rms, weight,
                          shared_.hidden);
    }
    add_and_norm(kept_.final_input, layer_.middle, kept_.final_rms, weight, kept_.normed);
    scatter_kept(shared_.hidden, shared_.normed.rows(0, batch_.kept_tokens() + 1));
  }

  // From the gradient of hidden to that of the residual stream after the last block.
  void backward_final_norm(Tensor weight_gradient, Tensor hidden_gradient) {
    if (!keeps_all_) gather_kept(kept_.branch, hidden_gradient);
    backend_.rmsnorm_backward({.input_gradient = kept_.gradient,
                               .weight_gradient = weight_gradient,
                               .output_gradient = keeps_all_ ? hidden_gradient : kept_.branch,
                               .input = kept_.final_input,
                               .inverse_rms = kept_.final_rms,
                               .weight = model_.weights.final_norm(),
                               .workspace = workspace_});
  }

  // residual_output = branch + residual;  output = norm(residual_output).
  void add_and_norm(Tensor residual_output, Tensor residual, Tensor inverse_rms, Tensor weight,
                    Tensor output) {
    backend_.rmsnorm_forward({.output = output,
                              .residual_output = residual_output,
                              .inverse_rms = inverse_rms,
                              .input = shared_.branch.rows(0, residual_output.shape[0]),
                              .residual = residual,
                              .weight = weight,
                              .epsilon = config_.rms_norm_eps});
  }

  float attention_scale() const { return 1.0f / std::sqrt(static_cast<float>(config_.head_dim)); }

 private:
  void product(Tensor output, Tensor input, Tensor weight) {
    backend_.linear_forward({.output = output, .input = input, .weight = model_.linear(weight)});
  }

  void product_backward_weight(Tensor weight_gradient, Tensor output_gradient, Tensor input) {
    backend_.linear_backward_weight(
        {.weight_gradient = weight_gradient, .output_gradient = output_gradient, .input = input});
  }

  void product_backward_input(Tensor input_gradient, Tensor output_gradient, Tensor weight) {
    backend_.linear_backward_input({.input_gradient = input_gradient,
                                    .output_gradient = output_gradient,
                                    .weight = model_.linear(weight)});
  }

  void product_backward(Tensor input_gradient, Tensor weight_gradient, Tensor output_gradient,
                        Tensor input, Tensor weight) {
    product_backward_weight(weight_gradient, output_gradient, input);
    product_backward_input(input_gradient, output_gradient, weight);
  }

  void norm(Tensor output, Tensor input, Tensor inverse_rms, Tensor weight) {
    backend_.rmsnorm_forward({.output = output,
                              .inverse_rms = inverse_rms,
                              .input = input,
                              .weight = weight,
                              .epsilon = config_.rms_norm_eps});
  }

  // [K, H D] what the attention gives to the rows that are kept.
  Tensor mix() const {
    return keeps_all_ ? layer_.attention_mix : kept_mix_.rows(0, batch_.kept_tokens());
  }

  // Rows that are kept, out of all and back among them (an embedding is a gather of rows). The last
  // of the K + 1 rows of `kept` is for those that are not: 0.
  void gather_kept(Tensor kept, Tensor all) {
    backend_.embedding_forward({.output = kept, .table = all, .ids = batch_.kept});
  }
  void scatter_kept(Tensor all, Tensor kept) {
    backend_.zero(kept.rows(batch_.kept_tokens(), 1));
    backend_.embedding_forward({.output = all, .table = kept, .ids = batch_.kept_places});
  }

  // Adds the norm's gradient to the one that the residual stream carries past it.
  void norm_backward(Tensor weight_gradient, const Activations::Shared& shared,
                     Tensor residual_gradient, Tensor input, Tensor inverse_rms, Tensor weight) {
    backend_.rmsnorm_backward({.input_gradient = shared.gradient,
                               .weight_gradient = weight_gradient,
                               .output_gradient = shared.normed_gradient,
                               .residual_gradient = residual_gradient,
                               .input = input,
                               .inverse_rms = inverse_rms,
                               .weight = weight,
                               .workspace = workspace_});
  }

  const Model& model_;
  const ModelConfig& config_;
  Backend& backend_;
  const DeviceBatch& batch_;
  std::map<Activations::BlockShape, std::unique_ptr<Recording>>& recordings_;
  const LayerTensors weights_;
  const Activations::Layer& layer_;
  const Activations::Shared& shared_;
  const bool keeps_all_;             // rows after attention
  const Activations::Shared& kept_;  // what comes after attention
  const Tensor kept_mix_;
  const Tensor workspace_;
};

void transformer_forward(const Model& model, Activations& activations, const DeviceBatch& batch,
                         const LayerVisitor& visit) {
  CRIA_ASSERT(!visit || batch.keeps_all());  // the last q, k and v give way to rows that are kept
  activations.use(batch);
  Tensor middle;
  for (int i = 0; i < model.config().num_hidden_layers; ++i) {
    BlockPass block(model, activations, batch, i);
    const Activations::Layer& layer = activations.layers_[static_cast<size_t>(i)];
    const auto pass = [&] {
      if (i == 0) {
        model.backend().embedding_forward(
            {.output = layer.input, .table = model.weights.embedding(), .ids = batch.ids});
        block.enter();
      } else {
        block.enter_from(middle);
      }
      block.forward_to_gate_up();
      if (visit) {
        visit(
            {.qkv = layer.qkv, .log_sum_exp = layer.log_sum_exp, .scale = block.attention_scale()});
      }
      block.forward_down();
    };
    if (visit) {  // which may copy to the host
      pass();
    } else {
      block.recorded(nullptr, pass);
    }
    middle = layer.middle;
    if (i + 1 == model.config().num_hidden_layers) block.forward_final_norm();
  }
}

void transformer_backward(const Model& model, ParameterSet& gradients, Activations& activations,
                          const DeviceBatch& batch, const BlockVisitor& is_complete) {
  CRIA_ASSERT(activations.plan().training);
  const bool recompute = activations.plan().recompute == Recompute::block;
  const int last = model.config().num_hidden_layers - 1;
  BlockPass(model, activations, batch, last)
      .backward_final_norm(gradients.final_norm(), activations.hidden_gradient);
  if (is_complete) is_complete(gradients.block_count() - 1);
  for (int i = last; i >= 0; --i) {
    BlockPass block(model, activations, batch, i);
    const LayerTensors of_layer = gradients.layer(i);
    block.recorded(of_layer.attention_norm.data, [&] {
      if (recompute && i != last) {  // the shared buffers still hold the last layer
        block.enter();
        block.forward_to_gate_up();
      }
      block.backward(of_layer);
    });
    if (is_complete) is_complete(1 + static_cast<size_t>(i));
  }
  model.backend().embedding_backward({.table_gradient = gradients.embedding(),
                                      .output_gradient = activations.shared_.gradient,
                                      .ids = batch.ids,
                                      .workspace = activations.workspace_});
  if (is_complete) is_complete(0);
}

}  // namespace cria

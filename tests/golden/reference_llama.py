"""Llama in double precision, on plain tensors: the truth that fp32 and bf16 runs are measured by.

transformers cannot be run in double precision throughout: its RMSNorm, softmax and rotary angles
are fp32 by definition. The rotary cosines and sines are fp32 here too, because they are what the
model was trained with; everything else is double.

`store` is what happens to a tensor on its way to memory: nothing for the truth, rounding for a model
that computes exactly but keeps its tensors in bf16. It stands where cria's ops round.
"""

import torch
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding


def exactly(x):
    return x


def in_bf16(x):
    return x.float().bfloat16().double()


def weights_of(model):
    """The parameters of a transformers model in double, as leaves; tied ones appear once."""
    return {name: p.detach().double().requires_grad_() for name, p in model.named_parameters()}


def rms_norm(x, weight, epsilon):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + epsilon) * weight


def rotate(x, cos, sin):
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


def attention(config, weights, prefix, x, cos, sin, store):
    tokens = x.shape[0]

    def heads(name, count):
        product = store(x @ weights[f"{prefix}.{name}.weight"].T)
        return product.view(tokens, count, config.head_dim).transpose(0, 1)

    group = config.num_attention_heads // config.num_key_value_heads
    q = store(rotate(heads("q_proj", config.num_attention_heads), cos, sin))
    k = store(rotate(heads("k_proj", config.num_key_value_heads), cos, sin)).repeat_interleave(group, dim=0)
    v = heads("v_proj", config.num_key_value_heads).repeat_interleave(group, dim=0)
    scores = q @ k.transpose(1, 2) / config.head_dim**0.5
    future = torch.ones(tokens, tokens, dtype=torch.bool).triu(1)
    mixed = store(scores.masked_fill(future, float("-inf")).softmax(-1) @ v)
    return store(mixed.transpose(0, 1).reshape(tokens, -1) @ weights[f"{prefix}.o_proj.weight"].T)


def mlp(weights, prefix, x, store):
    gate = store(x @ weights[f"{prefix}.gate_proj.weight"].T)
    up = store(x @ weights[f"{prefix}.up_proj.weight"].T)
    return store(store(torch.nn.functional.silu(gate) * up) @ weights[f"{prefix}.down_proj.weight"].T)


def hidden_states(config, weights, ids, store):
    """[T] ids of one sequence -> [T, d] after the final norm."""
    ids = torch.tensor(ids)
    rotary = LlamaRotaryEmbedding(config)
    cos, sin = rotary(torch.zeros(1, dtype=torch.float32), torch.arange(len(ids))[None])
    half = config.head_dim // 2
    cos, sin = cos[0, :, :half].double(), sin[0, :, :half].double()

    def norm(x, name):
        return store(rms_norm(x, weights[f"{name}.weight"], config.rms_norm_eps))

    x = weights["model.embed_tokens.weight"][ids]
    for layer in range(config.num_hidden_layers):
        prefix = f"model.layers.{layer}"
        normed = norm(x, f"{prefix}.input_layernorm")
        x = store(x + attention(config, weights, f"{prefix}.self_attn", normed, cos, sin, store))
        normed = norm(x, f"{prefix}.post_attention_layernorm")
        x = store(x + mlp(weights, f"{prefix}.mlp", normed, store))
    return norm(x, "model.norm")


def token_logprobs(config, weights, ids, store=exactly):
    """log p of tokens 2..T given those before: [T - 1]."""
    head = weights.get("lm_head.weight", weights["model.embed_tokens.weight"])
    logits = hidden_states(config, weights, ids, store)[:-1] @ head.T
    return logits.log_softmax(-1).gather(-1, torch.tensor(ids[1:])[:, None])[:, 0]


def token_scores(config, weights, ids, store=exactly):
    """The score head at every position: [T]."""
    return (hidden_states(config, weights, ids, store) @ weights["score.weight"].T)[:, 0]

"""Llama in plain PyTorch, for machines that have no transformers: scaled-dot-product attention and a KV cache of one
piece for each layer, allocated once."""

import torch
import torch.nn.functional as F
from torch import nn


def turn(x, cos, sin):
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


class Layer(nn.Module):
    def __init__(self, shape):
        super().__init__()
        d, f = shape["hidden_size"], shape["intermediate_size"]
        self.heads, self.kv_heads = shape["num_attention_heads"], shape["num_key_value_heads"]
        self.head_dim = d // self.heads
        self.attention_norm, self.mlp_norm = (nn.Parameter(torch.ones(d)) for _ in range(2))
        self.qkv = nn.Linear(d, (self.heads + 2 * self.kv_heads) * self.head_dim, bias=False)
        self.attention_out = nn.Linear(d, d, bias=False)
        self.gate_up = nn.Linear(d, 2 * f, bias=False)
        self.down = nn.Linear(f, d, bias=False)

    def forward(self, x, cos, sin, cache=None, begin=0):
        batch, length, d = x.shape
        qkv = self.qkv(F.rms_norm(x, (d,), self.attention_norm.to(x.dtype), 1e-5))
        qkv = qkv.view(batch, length, -1, self.head_dim).transpose(1, 2)
        q, k, v = qkv.split((self.heads, self.kv_heads, self.kv_heads), dim=1)
        q, k = turn(q, cos, sin).to(v.dtype), turn(k, cos, sin).to(v.dtype)
        if cache is not None:
            cache[0][:, :, begin : begin + length] = k
            cache[1][:, :, begin : begin + length] = v
            k, v = (part[:, :, : begin + length] for part in cache)
        mix = F.scaled_dot_product_attention(q, k, v, is_causal=length > 1, enable_gqa=self.kv_heads < self.heads)
        x = x + self.attention_out(mix.transpose(1, 2).reshape(batch, length, d))
        gate, up = self.gate_up(F.rms_norm(x, (d,), self.mlp_norm.to(x.dtype), 1e-5)).chunk(2, dim=-1)
        return x + self.down(F.silu(gate) * up)


class Llama(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        d = shape["hidden_size"]
        self.embedding = nn.Embedding(shape["vocab_size"], d)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape["num_hidden_layers"]))
        self.norm = nn.Parameter(torch.ones(d))
        self.head = nn.Linear(d, shape["vocab_size"], bias=False)
        if shape["tie_word_embeddings"]:
            self.head.weight = self.embedding.weight
        for weight in self.parameters():
            if weight.dim() > 1:
                nn.init.normal_(weight, std=0.02)
        head_dim = d // shape["num_attention_heads"]
        frequencies = 10000.0 ** (-torch.arange(0, head_dim, 2).float() / head_dim)
        angles = torch.outer(torch.arange(shape["max_position_embeddings"]).float(), frequencies).repeat(1, 2)
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())

    def hidden(self, ids, caches=None, begin=0):
        x = self.embedding(ids)
        cos, sin = (table[begin : begin + ids.shape[1]].to(x.dtype) for table in (self.cos, self.sin))
        for i, layer in enumerate(self.layers):
            x = layer(x, cos, sin, caches[i] if caches else None, begin)
        return F.rms_norm(x, x.shape[-1:], self.norm.to(x.dtype), 1e-5)

    def forward(self, ids, caches=None, begin=0):
        x = self.hidden(ids, caches, begin)
        return self.head(x if caches is None else x[:, -1:])

    @torch.inference_mode()
    def generate(self, prompts, new_tokens):
        """The likeliest tokens after the prompts."""
        batch, length = prompts.shape
        layer = self.layers[0]
        caches = [
            self.norm.new_empty(2, batch, layer.kv_heads, length + new_tokens, layer.head_dim) for _ in self.layers
        ]
        tokens, answer = prompts, []
        for begin in [0, *range(length, length + new_tokens - 1)]:
            tokens = self(tokens, caches, begin)[:, -1].argmax(-1, keepdim=True)
            answer.append(tokens)
        return torch.cat(answer, dim=1)

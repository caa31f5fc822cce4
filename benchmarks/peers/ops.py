"""../ops.cpp in PyTorch: for each benchmark's name on stdin, seconds per call as a line of JSON."""

import argparse
import json
import math
import sys
import time

import torch
import torch.nn.functional as F

LENGTH = 256
ROWS, CONTEXT, BLOCK_SIZE = 32, 1024, 16  # of generation
VOCAB_SIZE = 32000
DTYPES = [torch.float32, torch.bfloat16]


def filled(*shape, dtype=torch.float32, requires_grad=False):
    return (0.1 * torch.randn(shape, device=DEVICE)).to(dtype).requires_grad_(requires_grad)


def gradients(output, inputs):
    """Calls that run backward alone, again and again."""
    output_gradient = torch.randn_like(output)
    return lambda: torch.autograd.grad(output, inputs, output_gradient, retain_graph=True)


def copy(n):
    source, target = filled(n), filled(n)
    return lambda: target.copy_(source)


def cast(n, dtype):
    source, target = filled(n, dtype=DTYPES[1 - dtype]), filled(n, dtype=DTYPES[dtype])
    return lambda: target.copy_(source)


def spread_ids(count, vocab_size):
    return torch.arange(count, device=DEVICE) * 7919 % vocab_size


def embedding(d, dtype):
    table, ids = filled(VOCAB_SIZE, d, dtype=DTYPES[dtype]), spread_ids(TOKENS, VOCAB_SIZE)
    return lambda: F.embedding(ids, table)


def embedding_backward(d, dtype):
    """Added to an fp32 gradient, as cria does it."""
    gradient, output_gradient = filled(VOCAB_SIZE, d), filled(TOKENS, d, dtype=DTYPES[dtype])
    ids = spread_ids(TOKENS, VOCAB_SIZE)
    return lambda: gradient.index_add_(0, ids, output_gradient.float())


def linear(n, k, dtype):
    x, weight = filled(TOKENS, k, dtype=DTYPES[dtype]), filled(n, k, dtype=DTYPES[dtype])
    return lambda: F.linear(x, weight)


def linear_backward_input(n, k, dtype):
    dy, weight = filled(TOKENS, n, dtype=DTYPES[dtype]), filled(n, k, dtype=DTYPES[dtype])
    return lambda: dy @ weight


def linear_backward_weight(n, k, dtype):
    """Into fp32, as autocast leaves it in .grad."""
    dy, x = filled(TOKENS, n, dtype=DTYPES[dtype]), filled(TOKENS, k, dtype=DTYPES[dtype])
    gradient = filled(n, k)
    return lambda: gradient.add_(dy.t() @ x)


def attention_inputs(heads, head_dim, dtype, requires_grad=False):
    qkv = filled(SEQUENCES, LENGTH, 3, heads, head_dim, dtype=DTYPES[dtype], requires_grad=requires_grad)
    return qkv, [part.transpose(1, 2) for part in qkv.unbind(2)]


def attention(heads, head_dim, dtype):
    _, (q, k, v) = attention_inputs(heads, head_dim, dtype)
    return lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True)


def attention_backward(heads, head_dim, dtype):
    qkv, (q, k, v) = attention_inputs(heads, head_dim, dtype, requires_grad=True)
    return gradients(F.scaled_dot_product_attention(q, k, v, is_causal=True), [qkv])


def attention_maxima(heads, head_dim, dtype):
    _, (q, k, _v) = attention_inputs(heads, head_dim, dtype)
    rows = torch.arange(7, LENGTH, 8, device=DEVICE)
    hidden = torch.arange(LENGTH, device=DEVICE) > rows[:, None]

    def run():
        scores = (q[:, :, rows] @ k.transpose(2, 3)).float() / head_dim**0.5
        return scores.masked_fill(hidden, -torch.inf).softmax(-1).amax(1)

    return run


def normalized(h, weight):
    return F.rms_norm(h, (h.shape[-1],), weight, 1e-5)


def residual_rmsnorm(d, dtype):
    x, residual, weight = (filled(*shape, dtype=DTYPES[dtype]) for shape in [(TOKENS, d), (TOKENS, d), (d,)])

    def run():
        h = x + residual
        return h, normalized(h, weight)

    return run


def residual_rmsnorm_backward(d, dtype):
    h, weight = (filled(*shape, dtype=DTYPES[dtype], requires_grad=True) for shape in [(TOKENS, d), (d,)])
    past_the_norm = filled(TOKENS, d, dtype=DTYPES[dtype])
    backward = gradients(normalized(h, weight), [h, weight])

    def run():
        h_gradient, weight_gradient = backward()
        return h_gradient + past_the_norm, weight_gradient

    return run


def swiglu(f, dtype):
    gate, up = filled(TOKENS, 2 * f, dtype=DTYPES[dtype]).chunk(2, dim=1)
    return lambda: F.silu(gate) * up


def swiglu_backward(f, dtype):
    gate_up = filled(TOKENS, 2 * f, dtype=DTYPES[dtype], requires_grad=True)
    gate, up = gate_up.chunk(2, dim=1)
    return gradients(F.silu(gate) * up, [gate_up])


def rope(heads, head_dim, dtype):
    """As transformers' apply_rotary_pos_emb."""
    qk = filled(SEQUENCES, LENGTH, 2 * heads, head_dim, dtype=DTYPES[dtype])
    cos, sin = (filled(LENGTH, 1, head_dim, dtype=DTYPES[dtype]) for _ in range(2))

    def run():
        first, second = qk.chunk(2, dim=-1)
        return qk * cos + torch.cat((-second, first), dim=-1) * sin

    return run


rope_backward = rope  # the same turn the other way


def score_head(d, dtype):
    hidden, weight = (filled(*shape, dtype=DTYPES[dtype]) for shape in [(TOKENS, d), (1, d)])
    return lambda: F.linear(hidden, weight)


def score_head_backward(d, dtype):
    hidden, weight = (filled(*shape, dtype=DTYPES[dtype], requires_grad=True) for shape in [(TOKENS, d), (1, d)])
    return gradients(F.linear(hidden, weight), [hidden, weight])


def language_head_forward(d, v, dtype):
    hidden, head = (filled(*shape, dtype=DTYPES[dtype]) for shape in [(TOKENS, d), (v, d)])
    targets = spread_ids(TOKENS, v)
    return lambda: F.cross_entropy(F.linear(hidden, head).float(), targets, reduction="none")


def language_head(d, v, dtype):
    hidden, head = (filled(*shape, dtype=DTYPES[dtype], requires_grad=True) for shape in [(TOKENS, d), (v, d)])
    targets = spread_ids(TOKENS, v)
    return lambda: torch.autograd.grad(F.cross_entropy(F.linear(hidden, head).float(), targets), [hidden, head])


def adamw(n, _):
    """Moments in fp32 either way: PyTorch has none in bf16 for weights in fp32."""
    parameter = torch.nn.Parameter(filled(n))
    parameter.grad = filled(n)
    optimizer = torch.optim.AdamW([parameter], lr=1e-4, betas=(0.9, 0.95), eps=1e-5, weight_decay=0.1, fused=True)
    return optimizer.step


def sum_of_squares(n, dtype):
    x = filled(n, dtype=DTYPES[dtype])
    return lambda: torch.linalg.vector_norm(x, dtype=torch.float32) ** 2


def kv_cache_write(heads, kv_heads, head_dim, dtype):
    keys, values = (
        filled(ROWS * CONTEXT // BLOCK_SIZE, kv_heads, BLOCK_SIZE, head_dim, dtype=DTYPES[dtype]) for _ in range(2)
    )
    q = filled(ROWS, heads, head_dim, dtype=DTYPES[dtype])
    k, v = filled(ROWS, 2, kv_heads, head_dim, dtype=DTYPES[dtype]).unbind(1)
    cos, sin = filled(head_dim, dtype=DTYPES[dtype]), filled(head_dim, dtype=DTYPES[dtype])
    blocks = spread_ids(ROWS, ROWS) * (CONTEXT // BLOCK_SIZE)

    def turned(x):
        return x * cos + torch.cat((-x[..., head_dim // 2 :], x[..., : head_dim // 2]), -1) * sin

    def run():
        turned(q)
        keys[blocks, :, BLOCK_SIZE - 1] = turned(k)
        values[blocks, :, BLOCK_SIZE - 1] = v

    return run


def decode_attention(heads, kv_heads, head_dim, dtype):
    """Over a cache that lies in one piece."""
    q = filled(ROWS, heads, 1, head_dim, dtype=DTYPES[dtype])
    k, v = (filled(ROWS, kv_heads, CONTEXT, head_dim, dtype=DTYPES[dtype]) for _ in range(2))
    return lambda: F.scaled_dot_product_attention(q, k, v, enable_gqa=kv_heads < heads)


def sampling(v, top_k, top_p):
    """As transformers' warpers, then one draw and its log-probability."""
    logits = filled(ROWS, v)

    def run():
        scaled = logits / 0.7
        logprobs = scaled.log_softmax(-1)
        if top_k > 0:
            scaled = scaled.masked_fill(scaled < scaled.topk(top_k).values[:, -1:], -math.inf)
        if top_p < 100:
            ascending, order = scaled.sort(-1)
            drop = ascending.softmax(-1).cumsum(-1) <= 1 - top_p / 100
            scaled = scaled.masked_fill(drop.scatter(1, order, drop), -math.inf)
        tokens = torch.multinomial(scaled.softmax(-1), 1)
        return tokens, logprobs.gather(1, tokens)

    return run


def seconds_per_call(call, at_least=0.5):
    def timed(calls):
        begin = time.perf_counter()
        for _ in range(calls):
            call()
        if DEVICE == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - begin

    calls = 1
    while True:
        seconds = timed(calls)
        if seconds >= at_least:
            return seconds / calls
        calls = max(2 * calls, math.ceil(1.2 * calls * at_least / max(seconds, 1e-9)) if seconds > 0.1 * at_least else 0)


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--device", default="cpu")
parser.add_argument("--sequences", type=int, default=8)
OPTIONS = parser.parse_args()
DEVICE, SEQUENCES = OPTIONS.device, OPTIONS.sequences
TOKENS = SEQUENCES * LENGTH
for line in sys.stdin:
    name, *numbers = line.strip().removesuffix("/real_time").split("/")
    call = globals()[name](*(int(number) for number in numbers))
    print(json.dumps({"seconds": seconds_per_call(call)}), flush=True)

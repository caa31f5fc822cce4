"""../ops.cpp in PyTorch: for each benchmark's name on stdin, seconds per call as a line of JSON; null where the variant has
nothing of its own for that op. Variants: eager; compiled, by torch.compile; flash and cudnn, attention by that backend of
scaled_dot_product_attention and no other."""

import argparse
import contextlib
import json
import math
import sys
import time

import torch
import torch._functorch.config
import torch.nn.functional as F

import rounds

ROWS, CONTEXT, BLOCK_SIZE = 32, 1024, 16  # of generation
VOCAB_SIZE = 32000
DTYPES = [torch.float32, torch.bfloat16]


def filled(*shape, dtype=torch.float32, requires_grad=False):
    return (0.1 * torch.randn(shape, device=DEVICE)).to(dtype).requires_grad_(requires_grad)


def made(function):
    """By torch.compile where that is the variant."""
    return torch.compile(function, dynamic=False) if OPTIONS.variant == "compiled" else function


def gradients(output, inputs):
    """Calls that run backward alone, again and again."""
    output_gradient = torch.randn_like(output)
    return lambda: torch.autograd.grad(output, inputs, output_gradient, retain_graph=True)


def copy(n):
    source, target = filled(n), filled(n)
    return lambda: target.copy_(source)


def cast(n, dtype):
    source, target = filled(n, dtype=DTYPES[1 - dtype]), filled(n, dtype=DTYPES[dtype])
    return made(lambda: target.copy_(source))


def spread_ids(count, vocab_size):
    return torch.arange(count, device=DEVICE) * 7919 % vocab_size


def embedding(d, dtype):
    table, ids = filled(VOCAB_SIZE, d, dtype=DTYPES[dtype]), spread_ids(TOKENS, VOCAB_SIZE)
    return made(lambda: F.embedding(ids, table))


def embedding_backward(d, dtype):
    """Added to an fp32 gradient, as cria does it."""
    gradient, output_gradient = filled(VOCAB_SIZE, d), filled(TOKENS, d, dtype=DTYPES[dtype])
    ids = spread_ids(TOKENS, VOCAB_SIZE)
    return made(lambda: gradient.index_add_(0, ids, output_gradient.float()))


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


def attention_inputs(heads, kv_heads, head_dim, dtype, requires_grad=False):
    qkv = filled(SEQUENCES, LENGTH, heads + 2 * kv_heads, head_dim, dtype=DTYPES[dtype], requires_grad=requires_grad)
    return qkv, qkv.transpose(1, 2).split((heads, kv_heads, kv_heads), dim=1)


def attend(q, k, v, **others):
    return F.scaled_dot_product_attention(q, k, v, enable_gqa=k.shape[1] < q.shape[1], **others)


def attention(heads, kv_heads, head_dim, dtype):
    _, (q, k, v) = attention_inputs(heads, kv_heads, head_dim, dtype)
    return lambda: attend(q, k, v, is_causal=True)


def attention_backward(heads, kv_heads, head_dim, dtype):
    qkv, (q, k, v) = attention_inputs(heads, kv_heads, head_dim, dtype, requires_grad=True)
    return gradients(attend(q, k, v, is_causal=True), [qkv])


def attention_maxima(heads, kv_heads, head_dim, dtype):
    _, (q, k, _v) = attention_inputs(heads, kv_heads, head_dim, dtype)
    rows = torch.arange(7, LENGTH, 8, device=DEVICE)
    hidden = torch.arange(LENGTH, device=DEVICE) > rows[:, None]

    def run():
        keys = k.repeat_interleave(heads // kv_heads, dim=1)
        scores = (q[:, :, rows] @ keys.transpose(2, 3)).float() / head_dim**0.5
        return scores.masked_fill(hidden, -torch.inf).softmax(-1).amax(1)

    return made(run)


def normalized(h, weight):
    return F.rms_norm(h, (h.shape[-1],), weight, 1e-5)


def residual_rmsnorm(d, dtype):
    x, residual, weight = (filled(*shape, dtype=DTYPES[dtype]) for shape in [(TOKENS, d), (TOKENS, d), (d,)])

    def run():
        h = x + residual
        return h, normalized(h, weight)

    return made(run)


def residual_rmsnorm_backward(d, dtype):
    h, weight = (filled(*shape, dtype=DTYPES[dtype], requires_grad=True) for shape in [(TOKENS, d), (d,)])
    past_the_norm = filled(TOKENS, d, dtype=DTYPES[dtype])

    def both_ways(h, weight):  # the gradient that goes past the norm joins that of the norm
        return normalized(h, weight), h

    outputs = made(both_ways)(h, weight)
    output_gradients = [torch.randn_like(outputs[0]), past_the_norm]
    return lambda: torch.autograd.grad(outputs, [h, weight], output_gradients, retain_graph=True)


def swiglu(f, dtype):
    gate, up = filled(TOKENS, 2 * f, dtype=DTYPES[dtype]).chunk(2, dim=1)
    return made(lambda: F.silu(gate) * up)


def swiglu_backward(f, dtype):
    gate_up = filled(TOKENS, 2 * f, dtype=DTYPES[dtype], requires_grad=True)

    def forward(gate_up):
        gate, up = gate_up.chunk(2, dim=1)
        return F.silu(gate) * up

    return gradients(made(forward)(gate_up), [gate_up])


def rope(heads, kv_heads, head_dim, dtype):
    """As transformers' apply_rotary_pos_emb."""
    qk = filled(SEQUENCES, LENGTH, heads + kv_heads, head_dim, dtype=DTYPES[dtype])
    cos, sin = (filled(LENGTH, 1, head_dim, dtype=DTYPES[dtype]) for _ in range(2))

    def run():
        first, second = qk.chunk(2, dim=-1)
        return qk * cos + torch.cat((-second, first), dim=-1) * sin

    return made(run)


rope_backward = rope  # the same turn the other way


def score_head(d, dtype):
    hidden, weight = (filled(*shape, dtype=DTYPES[dtype]) for shape in [(TOKENS, d), (1, d)])
    return made(lambda: F.linear(hidden, weight))


def score_head_backward(d, dtype):
    hidden, weight = (filled(*shape, dtype=DTYPES[dtype], requires_grad=True) for shape in [(TOKENS, d), (1, d)])
    return gradients(made(F.linear)(hidden, weight), [hidden, weight])


def language_head_forward(d, v, dtype):
    hidden, head = (filled(*shape, dtype=DTYPES[dtype]) for shape in [(TOKENS, d), (v, d)])
    targets = spread_ids(TOKENS, v)
    return made(lambda: F.cross_entropy(F.linear(hidden, head).float(), targets, reduction="none"))


def language_head(d, v, dtype):
    hidden, head = (filled(*shape, dtype=DTYPES[dtype], requires_grad=True) for shape in [(TOKENS, d), (v, d)])
    targets = spread_ids(TOKENS, v)
    loss = made(lambda hidden, head: F.cross_entropy(F.linear(hidden, head).float(), targets))
    return lambda: torch.autograd.grad(loss(hidden, head), [hidden, head])


def adamw(n, _):
    """Moments in fp32 either way: PyTorch has none in bf16 for weights in fp32."""
    parameter = torch.nn.Parameter(filled(n))
    parameter.grad = filled(n)
    optimizer = torch.optim.AdamW([parameter], lr=1e-4, betas=(0.9, 0.95), eps=1e-5, weight_decay=0.1, fused=True)
    return optimizer.step


def sum_of_squares(n, dtype):
    x = filled(n, dtype=DTYPES[dtype])
    return made(lambda: torch.linalg.vector_norm(x, dtype=torch.float32) ** 2)


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

    return made(run)


def decode_attention(heads, kv_heads, head_dim, dtype):
    """Over a cache that lies in one piece."""
    q = filled(ROWS, heads, 1, head_dim, dtype=DTYPES[dtype])
    k, v = (filled(ROWS, kv_heads, CONTEXT, head_dim, dtype=DTYPES[dtype]) for _ in range(2))
    return lambda: attend(q, k, v)


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

    return made(run)


def seconds_per_call(call, at_least):
    def timed(calls):
        begin = time.perf_counter()
        for _ in range(calls):
            call()
        rounds.synchronize(DEVICE)
        return time.perf_counter() - begin

    timed(1)  # compiles, where that is the variant, and allocates
    calls = 1
    while True:
        seconds = timed(calls)
        if seconds >= at_least:
            return seconds / calls
        calls = max(2 * calls, math.ceil(1.2 * calls * at_least / max(seconds, 1e-9)) if seconds > 0.1 * at_least else 0)


# Not: copies and products, which are one kernel of a library either way, attention, which is, and AdamW, fused in eager.
COMPILED = {
    "cast", "embedding", "embedding_backward", "residual_rmsnorm", "residual_rmsnorm_backward", "rope", "rope_backward",
    "swiglu", "swiglu_backward", "score_head", "score_head_backward", "sum_of_squares", "attention_maxima",
    "language_head_forward", "language_head", "kv_cache_write", "sampling",
}  # fmt: skip
ATTENTION = {"attention", "attention_backward", "decode_attention"}

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--device", default="cpu")
parser.add_argument("--sequences", type=int, default=8)
parser.add_argument("--length", type=int, default=256)
parser.add_argument("--variant", choices=["eager", "compiled", "flash", "cudnn"], default="eager")
parser.add_argument("--seconds", type=float, default=0.5, help="at least, of a measurement")
OPTIONS = parser.parse_args()
DEVICE, SEQUENCES, LENGTH = OPTIONS.device, OPTIONS.sequences, OPTIONS.length
TOKENS = SEQUENCES * LENGTH
if OPTIONS.variant == "compiled":
    rounds.require_compiler(DEVICE)
    torch._functorch.config.donated_buffer = False  # backward passes run again and again
backend = contextlib.nullcontext()
if OPTIONS.variant in ("flash", "cudnn"):
    backend = rounds.attention_backend(OPTIONS.variant, DEVICE)
prepared = {}
with backend:
    for line in sys.stdin:
        name, *numbers = line.strip().removesuffix("/real_time").split("/")
        seconds = None
        if OPTIONS.variant == "eager" or name in (COMPILED if OPTIONS.variant == "compiled" else ATTENTION):
            if line not in prepared:
                prepared = {line: globals()[name](*(int(number) for number in numbers))}  # rounds of one op follow each other
            seconds = seconds_per_call(prepared[line], OPTIONS.seconds)
        print(json.dumps({"seconds": seconds}), flush=True)

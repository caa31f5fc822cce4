"""../ops.cpp in PyTorch: for each benchmark's name on stdin, seconds per call as a line of JSON."""

import argparse
import json
import math
import sys
import time

import torch
import torch.nn.functional as F

TOKENS, SEQUENCES = 2048, 8
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
    qkv = filled(SEQUENCES, TOKENS // SEQUENCES, 3, heads, head_dim, dtype=DTYPES[dtype], requires_grad=requires_grad)
    return qkv, [part.transpose(1, 2) for part in qkv.unbind(2)]


def attention(heads, head_dim, dtype):
    _, (q, k, v) = attention_inputs(heads, head_dim, dtype)
    return lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True)


def attention_backward(heads, head_dim, dtype):
    qkv, (q, k, v) = attention_inputs(heads, head_dim, dtype, requires_grad=True)
    return gradients(F.scaled_dot_product_attention(q, k, v, is_causal=True), [qkv])


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


def language_head(d, v, dtype):
    hidden, head = (filled(*shape, dtype=DTYPES[dtype], requires_grad=True) for shape in [(TOKENS, d), (v, d)])
    targets = torch.arange(TOKENS, device=DEVICE) * 7919 % v
    return lambda: torch.autograd.grad(F.cross_entropy(F.linear(hidden, head).float(), targets), [hidden, head])


def adamw(n):
    parameter = torch.nn.Parameter(filled(n))
    parameter.grad = filled(n)
    optimizer = torch.optim.AdamW([parameter], lr=1e-4, betas=(0.9, 0.95), eps=1e-5, weight_decay=0.1, fused=True)
    return optimizer.step


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
DEVICE = parser.parse_args().device
for line in sys.stdin:
    name, *numbers = line.strip().removesuffix("/real_time").split("/")
    call = globals()[name](*(int(number) for number in numbers))
    print(json.dumps({"seconds": seconds_per_call(call)}), flush=True)

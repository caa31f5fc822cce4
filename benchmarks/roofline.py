#!/usr/bin/env python3
"""How fast a training step and decoding can be at most on a GPU: each op takes at least its operations at the rate of a
large product, or its bytes at the rate of a copy, whichever is longer. Counts what csrc/model/transformer.cpp,
csrc/model/heads.cpp and csrc/optim/optimizer.cpp do, each tensor of an op read or written once.

    benchmarks/roofline.py --write docs/roofline.md"""

import argparse
import dataclasses
import os
import textwrap

HERE = os.path.dirname(os.path.abspath(__file__))
MODELS = os.path.join(HERE, "..", "configs", "models")
BF16, FP32, INT32 = 2, 4, 4
ALIGNMENT = 64


@dataclasses.dataclass(frozen=True)
class Gpu:
    nominal: float = 989e12  # flop/s of bf16 without sparsity: what MFU is a share of
    product: float = 790e12  # of a large product
    copy: float = 4.3e12  # bytes/s
    attention: float = 518e12  # cuDNN's on an H100: heads of 128, causal, context 4,096 (Shah et al. 2024, FlashAttention-3)
    attention_backward: float = 499e12
    memory: float = 141e9  # bytes


@dataclasses.dataclass(frozen=True)
class Shape:
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    max_position_embeddings: int
    tie_word_embeddings: bool

    @classmethod
    def read(cls, name):
        with open(os.path.join(MODELS, name + ".yaml")) as file:
            pairs = (line.split("#")[0].split(":") for line in file if ":" in line.split("#")[0])
            values = {key.strip(): value.strip() for key, value in pairs}
        return cls(**{key: value == "true" if value in ("true", "false") else int(value) for key, value in values.items()})

    @property
    def head_dim(self):
        return self.hidden_size // self.num_attention_heads

    @property
    def key_size(self):
        return self.num_key_value_heads * self.head_dim

    @property
    def qkv_size(self):
        return self.hidden_size + 2 * self.key_size

    @property
    def layer_parameters(self):
        d, f = self.hidden_size, self.intermediate_size
        return d * self.qkv_size + d * d + 3 * d * f + 2 * d

    @property
    def parameters(self):
        tables = self.vocab_size * self.hidden_size * (1 if self.tie_word_embeddings else 2)
        return self.num_hidden_layers * self.layer_parameters + tables + self.hidden_size

    def model_flop(self, context):
        """Of a token, forward and backward: 6 for each parameter, and causal attention counted once."""
        return 6 * self.parameters + 6 * self.num_hidden_layers * self.hidden_size * context


@dataclasses.dataclass
class Op:
    """Over a whole step."""

    name: str
    group: str
    flop: float = 0
    bytes: float = 0
    count: float = 1

    def seconds(self, gpu, attention_rates=False):
        rate = gpu.product
        if attention_rates and self.group == "attention":
            rate = gpu.attention_backward if "backward" in self.name else gpu.attention
        return self.count * max(self.flop / rate, self.bytes / gpu.copy)


@dataclasses.dataclass(frozen=True)
class Step:
    shape: Shape
    context: int
    micro_batch: int  # tokens of a pass
    tokens: int  # of a step
    gradient: int = BF16  # bytes of one
    moment: int = BF16

    def product(self, name, rows, outputs, inputs, *, output=BF16):
        size = rows * inputs * BF16 + inputs * outputs * BF16 + rows * outputs * output
        return Op(name, "products", 2 * rows * outputs * inputs, size)

    def product_backward(self, name, rows, outputs, inputs):
        """Weight gradients are added to those that are there."""
        operands = rows * (inputs + outputs) * BF16
        flop = 2 * rows * outputs * inputs
        yield Op(name + ", weight gradient", "products", flop, operands + 2 * outputs * inputs * self.gradient)
        yield Op(name + ", input gradient", "products", flop, operands + inputs * outputs * BF16)

    def moved(self, name, elements, *, group="norms, SwiGLU, RoPE", per_element=BF16):
        return Op(name, group, 0, elements * per_element)

    def attention(self, name, passes, tensors):
        """`passes` products of T x T, of which the causal half is computed; `tensors` elements of a token are moved."""
        s = self.shape
        sums = self.micro_batch * s.num_attention_heads * FP32
        flop = passes * self.micro_batch * self.context * s.hidden_size
        return Op(name, "attention", flop, self.micro_batch * tensors * BF16 + sums)

    def layer(self):
        s, T = self.shape, self.micro_batch
        d, f, qkv = s.hidden_size, s.intermediate_size, s.qkv_size
        yield self.moved("residual + norm, twice", 2 * 4 * T * d)
        yield self.product("q, k, v", T, qkv, d)
        yield self.moved("RoPE", 2 * T * (d + s.key_size))
        yield self.attention("attention", 2, qkv + d)
        yield self.product("attention's output", T, d, d)
        yield self.product("gate and up", T, 2 * f, d)
        yield self.moved("SwiGLU", 3 * T * f)
        yield self.product("down", T, d, f)
        # Backward.
        yield from self.product_backward("down", T, d, f)
        yield self.moved("SwiGLU backward, its output again", 6 * T * f)
        yield self.moved("norm again, twice", 2 * 2 * T * d)
        yield from self.product_backward("gate and up", T, 2 * f, d)
        yield self.moved("residual + norm backward, twice", 2 * 4 * T * d)
        yield from self.product_backward("attention's output", T, d, d)
        # The dot products of output and its gradient first; then five products where forward has two, and RoPE on the way.
        yield self.attention("attention backward", 5, 2 * d + 2 * qkv + d)
        yield from self.product_backward("q, k, v", T, qkv, d)

    @property
    def head_rows(self):
        """Of logits at once: chunk_rows of kernels/token_logprob.cu."""
        return min(max(512, min(2048, self.micro_batch // 8 // 128 * 128)), -(-self.micro_batch // 16) * 16)

    def head(self):
        """Forward and backward, a chunk of rows at a time."""
        C, d, V = self.head_rows, self.shape.hidden_size, self.shape.vocab_size
        chunks = self.micro_batch / C
        ops = [
            self.moved("rows gathered and scattered", 5 * C * d, group="head and loss"),
            self.product("logits", C, V, d, output=FP32),
            self.moved("softmax and its gradient", C * V, group="head and loss", per_element=FP32 + BF16),
            *self.product_backward("head", C, V, d),
        ]
        for op in ops:
            yield dataclasses.replace(op, count=chunks)

    def ops(self):
        s, T, d = self.shape, self.micro_batch, self.shape.hidden_size
        passes = self.tokens / T
        for op in self.layer():
            yield dataclasses.replace(op, count=passes * s.num_hidden_layers)
        for op in self.head():
            yield dataclasses.replace(op, count=passes * op.count)
        touched = min(T, s.vocab_size)
        yield Op("embedding", "embedding, final norm", 0, 2 * T * d * BF16, passes)
        yield Op("embedding backward", "embedding, final norm", 0, T * d * BF16 + 2 * touched * d * self.gradient, passes)
        yield Op("final norm, both directions", "embedding, final norm", 0, (4 + 3) * T * d * BF16, passes)
        P = s.parameters
        yield Op("gradients to zero", "optimizer", 0, P * self.gradient)
        yield Op("gradient norm", "optimizer", 0, P * self.gradient)
        # Master weights and moments read and written, gradients read, weights in bf16 written.
        yield Op("AdamW", "optimizer", 0, P * (2 * FP32 + 4 * self.moment + self.gradient + BF16))

    def seconds(self, gpu, **how):
        return sum(op.seconds(gpu, **how) for op in self.ops())

    def mfu(self, gpu, **how):
        return self.shape.model_flop(self.context) * self.tokens / self.seconds(gpu, **how) / gpu.nominal

    def memory(self):
        """Bytes by the categories of the plan that a run prints, on a GPU."""
        s, T = self.shape, self.micro_batch
        d, f = s.hidden_size, s.intermediate_size
        align = lambda size: -(-size // ALIGNMENT) * ALIGNMENT
        layer = [d * T * BF16] * 2 + [s.qkv_size * T * BF16, d * T * BF16, 2 * f * T * BF16]
        layer += [T * FP32] * 2 + [s.num_attention_heads * T * FP32]
        # normed, branch, final input, hidden, three gradients as wide as the stream; SwiGLU's output; of q, k and v.
        shared = [d * T * BF16] * 7 + [f * T * BF16] + [s.qkv_size * T * BF16, T * FP32, FP32]
        batch = [T * INT32] * 3 + [(T + 1) * INT32]
        head = [T * FP32] * 4 + [T * INT32]
        activations = s.num_hidden_layers * sum(map(align, layer)) + sum(map(align, shared + batch + head))
        C = self.head_rows
        logits = [-(-T // C) * C * INT32] + [C * d * BF16] * 2 + [C * s.vocab_size * size for size in (FP32, BF16)]
        rope = s.max_position_embeddings * s.head_dim * FP32
        P = s.parameters
        return {
            "activations": activations,
            "master weights": P * FP32,
            "optimizer": 2 * P * self.moment + align(FP32),
            "parameters": P * BF16 + rope,
            "gradients": P * self.gradient,
            "workspace": max(sum(map(align, logits)), T * s.num_attention_heads * FP32),
        }


def decoding(shape, batch, context, gpu):
    """Tokens per second when each pass reads all weights (of the embedding a row for each token) and the keys and values
    of `context` tokens a sequence, in bf16."""
    read = shape.parameters - (0 if shape.tie_word_embeddings else shape.vocab_size * shape.hidden_size)
    cache = 2 * shape.num_hidden_layers * shape.key_size * context
    flop = 2 * batch * (read + shape.num_hidden_layers * 2 * shape.hidden_size * context)
    return batch / max(BF16 * (read + batch * cache) / gpu.copy, flop / gpu.product)


def format_bytes(size):
    """As csrc/core/buffer.cpp has them."""
    units = ["B", "KiB", "MiB", "GiB", "TiB"]
    unit = 0
    while size >= 1024 and unit + 1 < len(units):
        size /= 1024
        unit += 1
    return f"{size} B" if unit == 0 else f"{size:.2f} {units[unit]}"


def wrapped(text):
    return textwrap.fill(text, 120, break_on_hyphens=False)


def step_section(title, step, gpu):
    seconds = step.seconds(gpu)
    shares = {}
    for op in step.ops():
        flop, size, time = shares.get(op.group, (0, 0, 0))
        shares[op.group] = (flop + op.count * op.flop, size + op.count * op.bytes, time + op.seconds(gpu))
    order = sorted(shares, key=lambda group: -shares[group][2])
    rows = [f"| {group} | {shares[group][0] / 1e12:,.0f} | {shares[group][1] / 1e9:,.0f} | {shares[group][2] * 1e3:,.1f} | "
            f"{shares[group][2] / seconds:.1%} |" for group in order]  # fmt: skip
    plan = step.memory()
    memory = [f"| {category} | {format_bytes(size)} |" for category, size in sorted(plan.items(), key=lambda item: -item[1])]
    total = sum(plan.values())
    return "\n".join(
        [
            f"## {title}",
            "",
            wrapped(f"{step.shape.parameters:,} parameters, context {step.context:,}, {step.tokens:,} tokens a step in passes of "
            f"{step.micro_batch:,}; gradients and moments in bf16, fp32 master weights. Model FLOP of a token: "
            f"{step.shape.model_flop(step.context) / 1e9:.2f} G."),
            "",
            wrapped(f"**At least {seconds * 1e3:,.0f} ms a step: at most {step.tokens / seconds:,.0f} tokens/s, "
            f"{step.mfu(gpu):.1%} MFU.** With attention at {gpu.attention / 1e12:.0f} and, backward, "
            f"{gpu.attention_backward / 1e12:.0f} TFLOP/s {step.mfu(gpu, attention_rates=True):.1%}; "
            f"with gradients and moments in fp32 {dataclasses.replace(step, gradient=FP32, moment=FP32).mfu(gpu):.1%}."),
            "",
            "| | TFLOP | GB | ms | share |",
            "| --- | ---: | ---: | ---: | ---: |",
            *rows,
            "",
            f"Memory, of {gpu.memory / 1e9:.0f} GB; the plan that a run prints is the same (the test `MemoryPlan`):",
            "",
            "| | |",
            "| --- | ---: |",
            *memory,
            f"| total | {format_bytes(total)} |",
            "",
        ]
    )


def decoding_section(name, shape, gpu):
    contexts = (192, 512, 1024, 2048)
    rows = [f"| {name} | {batch} | " + " | ".join(f"{decoding(shape, batch, context, gpu):,.0f}" for context in contexts) + " |"
            for batch in (1, 16, 64)]  # fmt: skip
    return "\n".join(rows)


STEPS = [
    ("Llama 2 7B", "llama2-7b", 16384),
    ("TinyLlama 1.1B", "tinyllama-1.1b", 65536),
]


def page(gpu):
    sections = [
        "# The roofline of a step",
        wrapped("Written by `benchmarks/roofline.py --write docs/roofline.md` from configs/models and from what the code does. "
        "**Nothing on this page is measured on a GPU by cria**: it says how fast a step could be at most if each op ran at one of "
        "two rates, one after the other, and nothing was lost between them."),
        wrapped(f"One H200: {gpu.nominal / 1e12:.0f} TFLOP/s nominal, {gpu.product / 1e12:.0f} reached by a large product, "
        f"{gpu.copy / 1e12:.1f} TB/s by a copy, {gpu.memory / 1e9:.0f} GB. (Options of the script give another GPU.) "
        "Attention's products are taken at the product's rate, which no kernel for attention reaches, and beside it at the rate "
        "published for cuDNN on an H100 with heads of 128 (heads of 64, as the 1.1B model has, are slower). Causal products are "
        "counted as the half that is computed, five in the backward pass where the model FLOP count four. SwiGLU and the norms "
        "are computed again in the backward pass, and counted."),
    ]
    for title, name, micro_batch in STEPS:
        sections.append(step_section(title, Step(Shape.read(name), 4096, micro_batch, 65536), gpu))
    sections.append(
        "## Decoding\n\n"
        + wrapped("Tokens per second at most, in bf16, by batch and mean context: every pass reads all weights, and the keys and values "
        "before each token.")
        + "\n\n| | batch | 192 | 512 | 1,024 | 2,048 |\n| --- | ---: | ---: | ---: | ---: | ---: |\n"
        + "\n".join(decoding_section(title, Shape.read(name), gpu) for title, name, _ in STEPS)
    )
    return "\n\n".join(section.strip() for section in sections) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for field in dataclasses.fields(Gpu):
        parser.add_argument("--" + field.name, type=float, default=field.default)
    parser.add_argument("--write", help="a file instead of the terminal")
    options = parser.parse_args()
    text = page(Gpu(**{field.name: getattr(options, field.name) for field in dataclasses.fields(Gpu)}))
    if options.write:
        with open(options.write, "w") as file:
            file.write(text)
    else:
        print(text, end="")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""benchmarks/roofline.py against figures worked by hand, and docs/roofline.md against the script."""

import dataclasses
import os
import sys
import unittest

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(ROOT, "benchmarks"))

from roofline import FP32, Gpu, Shape, Step, decoding, page  # noqa: E402

SEVEN = Shape.read("llama2-7b")
ONE = Shape.read("tinyllama-1.1b")


class Roofline(unittest.TestCase):
    def test_parameters(self):
        self.assertEqual(SEVEN.parameters, 6_738_415_616)  # Touvron et al. 2023
        self.assertEqual(ONE.parameters, 1_100_048_384)  # Zhang et al. 2024
        self.assertEqual(Shape.read("llama2-70b").parameters, 68_976_648_192)
        # 15m ties the embedding: 9,216,000 once, 6 layers of 4 x 288^2 + 3 x 288 x 768 + 2 x 288, the last norm.
        self.assertEqual(Shape.read("15m").parameters, 9_216_000 + 6 * 995_904 + 288)

    def test_model_flop(self):
        # 6 x 6,738,415,616 + 6 x 32 x 4096 x 4096.
        self.assertEqual(SEVEN.model_flop(4096), 40_430_493_696 + 3_221_225_472)

    def test_products_are_the_model_flop(self):
        """But for the embedding and the norms, which multiply nothing; attention's backward pass has five products of four."""
        for shape in (SEVEN, ONE):
            step = Step(shape, 4096, 16384, 65536)
            of_tokens = lambda group: sum(op.count * op.flop for op in step.ops() if op.group == group) / 65536
            norms = (2 * shape.num_hidden_layers + 1) * shape.hidden_size
            matrices = shape.parameters - norms - shape.vocab_size * shape.hidden_size
            self.assertEqual(of_tokens("products"), 6 * matrices)
            # Model FLOP: 2 in the forward pass and 4 in the backward pass for each pair; done: 2 and 5.
            self.assertEqual(of_tokens("attention"), 7 * shape.num_hidden_layers * shape.hidden_size * 4096)

    def test_bytes(self):
        ops = {op.name: op for op in Step(SEVEN, 4096, 16384, 65536).ops()}
        row = 16384 * 4096 * 2  # of hidden states in bf16
        self.assertEqual(ops["residual + norm, twice"].bytes, 8 * row)
        self.assertEqual(ops["RoPE"].bytes, 4 * row)
        self.assertEqual(ops["SwiGLU backward, its output again"].bytes, 6 * 16384 * 11008 * 2)
        self.assertEqual(ops["residual + norm, twice"].count, 4 * 32)
        # Master weights 4 + 4, moments 2 + 2 + 2 + 2, gradient 2, copy 2.
        self.assertEqual(ops["AdamW"].bytes, 20 * 6_738_415_616)
        fp32 = dataclasses.replace(Step(SEVEN, 4096, 16384, 65536), gradient=FP32, moment=FP32)
        self.assertEqual(next(op.bytes for op in fp32.ops() if op.name == "AdamW"), 30 * 6_738_415_616)
        # 8 chunks a pass, 4 passes; logits written in fp32 beside operands.
        self.assertEqual(ops["logits"].count, 32)
        self.assertEqual(ops["logits"].bytes, 2048 * 4096 * 2 + 32000 * 4096 * 2 + 2048 * 32000 * 4)

    def test_time_is_the_longer_of_both(self):
        gpu = Gpu(product=1e12, copy=1e9)
        ops = {op.name: op for op in Step(SEVEN, 4096, 16384, 65536).ops()}
        down = ops["down"]  # 2 x 16384 x 4096 x 11008 operations, 90 + 361 + 134 MB
        self.assertAlmostEqual(down.seconds(gpu), down.count * max(1.47767, 0.58510), delta=1e-3 * down.count)
        self.assertAlmostEqual(down.seconds(Gpu(product=1e15, copy=1e9)), down.count * 0.58510, delta=1e-3 * down.count)

    def test_limits(self):
        """7B: above the 71% that others worked out for ops less fused (attention at its rate), below what products and
        attention alone would leave."""
        step, gpu = Step(SEVEN, 4096, 16384, 65536), Gpu()
        alone = sum(op.seconds(gpu, attention_rates=True) for op in step.ops() if op.group in ("products", "attention"))
        best = SEVEN.model_flop(4096) * 65536 / alone / gpu.nominal
        self.assertGreater(step.mfu(gpu, attention_rates=True), 0.71)
        self.assertLess(step.mfu(gpu, attention_rates=True), best)
        self.assertLess(best, 790 / 989)

    def test_decoding(self):
        """7B in bf16 at batch 64: 14.0k, 9.1k, 5.8k and 3.4k tokens/s at mean contexts of 192 to 2,048."""
        for context, limit in ((192, 14.0e3), (512, 9.1e3), (1024, 5.8e3), (2048, 3.4e3)):
            self.assertAlmostEqual(decoding(SEVEN, 64, context, Gpu()) / limit, 1, delta=0.015)
        # One sequence without context: 6,607,343,616 weights of 2 bytes.
        self.assertAlmostEqual(decoding(SEVEN, 1, 0, Gpu(copy=1e12)), 1e12 / 13_214_687_232)

    def test_page_is_what_the_script_writes(self):
        with open(os.path.join(ROOT, "docs", "roofline.md")) as file:
            self.assertEqual(file.read(), page(Gpu()), "benchmarks/roofline.py --write docs/roofline.md")


unittest.main()

#!/usr/bin/env python3
"""What machine_code.py reads from cuobjdump's words, and what it objects to."""

import collections
import unittest

from machine_code import Kernel, Library, check, faults_of, parts_of

RESOURCES = """
member build/libcria_cuda.a:swiglu.cu.o:
arch = sm_90
 Function _Zf:
  REG:40 STACK:16 SHARED:1344 LOCAL:0 CONSTANT[0]:608 TEXTURE:0 SURFACE:0 SAMPLER:0
""".splitlines()
INFORMATION = """
member build/libcria_cuda.a:swiglu.cu.o:
arch = sm_90
.nv.info._Zf
	Attribute:	EIATTR_MAX_THREADS
	Format:	EIFMT_SVAL
	Value:	0x80 0x2 0x1
	Attribute:	EIATTR_ANNOTATIONS
	Format:	EIFMT_SVAL
	Value:	SpillRefill : 	Offset : 0x1870
		SpillRefill : 	Offset : 0x1980
.text._Zf
""".splitlines()
INSTRUCTIONS = """
member build/libcria_cuda.a:swiglu.cu.o:
	code for sm_90
arch = sm_90
		Function : _Zf
        /*0000*/                   LDG.E.128.CONSTANT R4, [R2.64] ;    /* 0x00 */
                                                                        /* 0x000fe400078e00ff */
        /*0010*/              @!P0 STG.E.U16 [R2.64], R5 ;              /* 0x00 */
        /*ffff0*/             @UP0 HMMA.16816.F32.BF16 R4, R8, R2, R4 ; /* 0x00 */
""".splitlines()


def kernel(source, name, arguments=(), instructions=(), **others):
    return Kernel("sm_90", source, "_Zf", name, tuple(arguments), instructions=collections.Counter(instructions), **others)


class Reading(unittest.TestCase):
    def setUp(self):
        library = Library.__new__(Library)
        library.kernels = {}
        library.read_resources(RESOURCES)
        library.read_information(INFORMATION)
        library.read_instructions(INSTRUCTIONS)
        (self.kernel,) = library.kernels.values()

    def test_resources(self):
        self.assertEqual((self.kernel.registers, self.kernel.stack_bytes), (40, 16))
        self.assertEqual(self.kernel.shared_bytes, 320)  # without what CUDA reserves on sm_90
        self.assertEqual((self.kernel.threads, self.kernel.spills), (256, 2))

    def test_instructions(self):
        self.assertEqual((self.kernel.widest("LDG"), self.kernel.widest("STG"), self.kernel.widest("LDS")), (16, 2, 0))
        self.assertEqual(self.kernel.count("HMMA.16816.F32.BF16"), 1)

    def test_names(self):
        self.assertEqual(
            parts_of("void cria::cuda::(anonymous namespace)::split_kernel<cria::bf16, 4>(cria::cuda::(anonymous namespace)::P<float>)"),
            ("split_kernel", ("bf16", "4"), "cuda::::P<float>"),
        )
        self.assertEqual(parts_of("cria::cuda::(anonymous namespace)::map_kernel(int*)"), ("map_kernel", (), "int*"))


class Faults(unittest.TestCase):
    def expect(self, found, *words):
        faults = list(faults_of(found))
        self.assertEqual(len(faults), len(words), faults)
        for fault, word in zip(faults, words):
            self.assertIn(word, fault)

    def test_local_memory(self):
        self.expect(kernel("cast", "other"))
        self.expect(kernel("cast", "other", spills=2, stack_bytes=8), "spills registers: 2 instructions")
        self.expect(kernel("cast", "other", stack_bytes=64), "array in local memory: 64 bytes")

    def test_width(self):
        wide = ["LDG.E.128", "STG.E.128"]
        self.expect(kernel("swiglu", "forward_kernel", ("8", "bf16"), wide))
        self.expect(kernel("swiglu", "forward_kernel", ("8", "bf16"), ["LDG.E.128", "STG.E.64"]), "stores at most 8")
        self.expect(kernel("swiglu", "forward_kernel", ("8", "bf16"), ["LDG.E.U16", "STG.E.128"]), "loads at most 2")
        self.expect(kernel("swiglu", "forward_kernel", ("1", "bf16"), ["LDG.E.U16", "STG.E.U16"]))
        # Four bf16 are 8 bytes beside four fp32; a sum is stored alone.
        self.expect(kernel("cast", "cast_kernel", ("4", "float", "bf16"), ["LDG.E.64", "STG.E.128"]))
        self.expect(kernel("cast", "cast_kernel", ("4", "bf16", "float"), ["LDG.E.64", "STG.E.64"]), "loads at most 8")
        self.expect(kernel("decode_attention", "split_kernel", ("bf16", "4"), ["LDG.E.64", "STG.E"]), "loads at most 8")
        self.expect(kernel("embedding", "sum_kernel", ("4", "float", "bf16"), ["LDG.E.128", "STG.E.64"]))
        self.expect(kernel("sum_of_squares", "chunk_kernel", ("4", "float"), ["LDG.E.128", "STG.E"]))

    def test_other_template(self):
        self.expect(kernel("swiglu", "forward_kernel", ("bf16", "8"), ["LDG.E.128", "STG.E.128"]), "other template arguments")

    def test_tensor_cores(self):
        shape = {"parameters": "Parameters<bf16>"}
        all_of_it = ["HMMA.16816.F32.BF16", "LDSM.16.M88.4", "LDGSTS.E.BYPASS.128", "STG.E.128"]
        self.expect(kernel("attention_forward", "k", ("64",), all_of_it, **shape))
        self.expect(kernel("attention_backward_keys", "k", ("64",), all_of_it[:2], **shape), "no cp.async", "no stores of 16 bytes")
        self.expect(kernel("attention_forward", "k", ("64",), (), **shape), "no tensor cores", "no ldmatrix", "no cp.async", "no stores")
        self.expect(kernel("attention_forward", "k", ("64",), (), parameters="Parameters<float>"))
        self.expect(kernel("attention_backward", "dot_kernel", ("bf16",), (), **shape))

    def test_missing(self):
        faults = list(check([kernel("cast", "cast_kernel", ("1", "float", "bf16"))]))
        self.assertIn("sm_90 swiglu.cu: no kernel forward_kernel", faults)
        self.assertNotIn("sm_90 cast.cu: no kernel cast_kernel", faults)
        self.assertIn("sm_80 attention_backward*.cu: no kernel for bf16 by the head's size", faults)


unittest.main()

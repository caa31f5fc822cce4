#!/usr/bin/env python3
"""occupancy.py against cases worked by hand."""

import unittest

from occupancy import occupancy


class Occupancy(unittest.TestCase):
    def expect(self, case, blocks, warps, bound):
        result = occupancy(*case)
        self.assertEqual((result.blocks, result.warps, result.bound), (blocks, warps, bound))

    def test_threads(self):
        # 8 warps a block, 64 an SM; 32 registers: 1,024 a warp, 64 warps of them.
        self.expect(("sm_80", 256, 32, 0), 8, 64, "threads")

    def test_registers(self):
        # 40 x 32 = 1,280 a warp; a quarter of the SM has 16,384: 12 warps, 48 in all, 6 blocks of 8.
        self.expect(("sm_80", 256, 40, 0), 6, 48, "registers")
        # 128 x 32 = 4,096 a warp: 4 warps a quarter, 16 in all, 4 blocks of 4.
        self.expect(("sm_90", 128, 128, 0), 4, 16, "registers")
        # 33 x 32 = 1,056, handed out as 1,280.
        self.expect(("sm_90", 256, 33, 0), 6, 48, "registers")
        # 168 x 32 = 5,376: 3 warps a quarter, 12 in all, although 65,536 / 5,376 is 12.19.
        self.expect(("sm_90", 128, 168, 0), 3, 12, "registers")

    def test_shared_memory(self):
        # 80 KiB and 1 KiB for CUDA: twice in 164 KiB, 2.8 times in 228 KiB.
        self.expect(("sm_80", 128, 64, 80 * 1024), 2, 8, "shared memory")
        self.expect(("sm_90", 128, 64, 75 * 1024), 3, 12, "shared memory")
        # The reserved kilobyte decides: 4 x 57 KiB are 228 KiB, 4 x 58 are not.
        self.expect(("sm_90", 128, 64, 56 * 1024), 4, 16, "shared memory")
        self.expect(("sm_90", 128, 64, 57 * 1024), 3, 12, "shared memory")
        # More than a block may ask for.
        self.expect(("sm_80", 128, 64, 164 * 1024), 0, 0, "shared memory")

    def test_blocks(self):
        # One warp a block: 32 blocks are half of the warps.
        self.expect(("sm_80", 32, 32, 0), 32, 32, "blocks")


unittest.main()

"""Blocks that an SM holds at once, from what a kernel takes.

Limits: CUDA C++ Programming Guide, "Technical Specifications per Compute Capability". How registers are handed out: a warp
gets them in units of 256, from one of the four parts of the SM (cuda_occupancy.h of the toolkit)."""

import dataclasses

WARP = 32
REGISTER_UNIT = 256
SM_PARTS = 4
SHARED_UNIT = 128


@dataclasses.dataclass(frozen=True)
class Limits:
    warps: int  # of an SM
    blocks: int
    registers: int
    shared_bytes: int
    shared_bytes_of_block: int  # what a kernel may ask for
    reserved_bytes: int  # of shared memory, taken by CUDA for each block


LIMITS = {
    "sm_80": Limits(64, 32, 65536, 164 * 1024, 163 * 1024, 1024),
    "sm_90": Limits(64, 32, 65536, 228 * 1024, 227 * 1024, 1024),
}


def round_up(value, unit):
    return -(-value // unit) * unit


@dataclasses.dataclass(frozen=True)
class Occupancy:
    blocks: int
    warps: int
    share: float  # of the warps that an SM can hold
    bound: str  # what there is too little of for one block more


def occupancy(architecture, threads, registers, shared_bytes):
    """`shared_bytes` static and dynamic together, without what CUDA reserves. No blocks where one alone does not fit."""
    limits = LIMITS[architecture]
    warps = -(-threads // WARP)
    of_warp = round_up(registers * WARP, REGISTER_UNIT)
    of_block = round_up(shared_bytes + limits.reserved_bytes, SHARED_UNIT)
    by = {
        "threads": limits.warps // warps,
        "blocks": limits.blocks,
        "registers": limits.registers // SM_PARTS // of_warp * SM_PARTS // warps if registers else limits.blocks,
        "shared memory": limits.shared_bytes // of_block if shared_bytes <= limits.shared_bytes_of_block else 0,
    }
    bound = min(by, key=by.get)
    return Occupancy(by[bound], by[bound] * warps, by[bound] * warps / limits.warps, bound)

#!/usr/bin/env python3
"""What nvcc made of each kernel, for sm_80 and sm_90, read from the library with the toolkit's cuobjdump.

    machine_code.py --archive build/kernels/libcria_cuda.a --check
    machine_code.py --archive ... --launches build/kernel_launches --write docs/kernels_compiled.md

--check ends with exit status 1 where a kernel spills registers, where a kernel that moves memory 16 bytes at a time has no
such loads or stores, or where attention in bf16 does without tensor cores, ldmatrix or cp.async of 16 bytes; with 77
where there is no cuobjdump."""

import argparse
import collections
import dataclasses
import glob
import os
import re
import subprocess
import sys

from occupancy import LIMITS, occupancy

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
MISSING = 77


@dataclasses.dataclass(frozen=True)
class Wide:
    """A kernel that moves memory: where its template arguments say how many elements it takes at once (None: always 16
    bytes), and of which types those are that it loads and stores; types that are no arguments by name, and none where it
    stores single sums."""

    width: int | None
    loaded: tuple = ()
    stored: tuple = ()

    def bytes_at_once(self, kernel, types):
        """A lane's access has at most 16; an instantiation has that much of its widest type."""
        if self.width is None:
            return 16
        sizes = [SIZES[kernel.arguments[of] if isinstance(of, int) else of] for of in types]
        return min(16, int(kernel.arguments[self.width]) * max(sizes))


WIDE = {
    "adamw": {"adamw_kernel": Wide(0, ("float",), ("float",))},
    "cast": {"cast_kernel": Wide(0, (2,), (1,))},
    "decode_attention": {"split_kernel": Wide(None)},
    "embedding": {"forward_kernel": Wide(0, (1,), (1,)), "sum_kernel": Wide(0, (1, 2), (2,))},
    "kv_cache_write": {"kv_cache_write_kernel": Wide(0, (1,), (1,))},
    "rmsnorm": {"forward_kernel": Wide(1, (2,), (2,)), "backward_kernel": Wide(1, (2,), (2,))},
    "rope": {"rotate_kernel": Wide(0, (1,), (1,))},
    "score_head": {"forward_kernel": Wide(0, (1,)), "hidden_gradient_kernel": Wide(0, (1,), (1,))},
    "sum_of_squares": {"chunk_kernel": Wide(0, (1,))},
    "swiglu": {"forward_kernel": Wide(0, (1,), (1,)), "backward_kernel": Wide(0, (1,), (1,))},
    "token_logprob": {
        "gather_rows": Wide(1, (0,), (0,)),
        "scatter_rows": Wide(1, (0,), (0,)),
        "softmax_rows": Wide(2, ("float",), (0,)),
    },
}
# Sources of attention, forward and backward. Their kernels for bf16 that have the head's size as template argument multiply
# on tensor cores.
ATTENTION = ["attention_forward", "attention_backward"]
TENSOR_CORE_INSTRUCTIONS = {"HMMA.16816.F32.BF16": "tensor cores", "LDSM": "ldmatrix", "LDGSTS.E.BYPASS.128": "cp.async of 16 bytes",
                            "STG.E.128": "stores of 16 bytes"}
SIZES = {"float": 4, "bf16": 2, "int": 4}


@dataclasses.dataclass
class Kernel:
    architecture: str
    source: str  # of kernels/, without .cu
    symbol: str
    name: str = ""
    arguments: tuple = ()  # of its template
    parameters: str = ""
    registers: int = 0
    stack_bytes: int = 0
    shared_bytes: int = 0  # static
    threads: int = 0  # __launch_bounds__
    spills: int = 0  # instructions that store or load spilled registers
    instructions: collections.Counter = dataclasses.field(default_factory=collections.Counter)

    @property
    def title(self):
        return self.name + (f"<{', '.join(self.arguments)}>" if self.arguments else "")

    @property
    def on_tensor_cores(self):
        of_head_size = self.arguments and self.arguments[0].isdigit()
        return self.source.startswith(tuple(ATTENTION)) and bool(of_head_size) and "<bf16>" in self.parameters

    def widest(self, instruction):
        """Bytes of the widest access; 0 where there is none."""
        widest = 0
        for word in self.instructions:
            operation, *modifiers = word.split(".")
            if operation == instruction:
                bits = [int(modifier.lstrip("US")) for modifier in modifiers if re.fullmatch(r"[US]?(8|16|64|128)", modifier)]
                widest = max(widest, bits[0] // 8 if bits else 4)
        return widest

    def count(self, prefix):
        return sum(count for word, count in self.instructions.items() if word.startswith(prefix))


def find_cuobjdump():
    """Of the toolkit, or of its wheels from PyPI in build/venv-cuda; it wants nvdisasm beside it."""
    homes = [os.environ[home] for home in ("CUDA_HOME", "CUDA_PATH") if home in os.environ] + ["/usr/local/cuda"]
    folders = [home + "/bin" for home in homes] + os.environ.get("PATH", "").split(os.pathsep)
    folders += glob.glob("build*/venv-cuda/lib/python3*/site-packages/nvidia/cu*/bin", root_dir=ROOT)
    for folder in folders:
        path = os.path.join(ROOT, folder, "cuobjdump")
        if os.access(path, os.X_OK) and os.access(os.path.join(ROOT, folder, "nvdisasm"), os.X_OK):
            return path
    print("no cuobjdump and nvdisasm here: they come with the CUDA Toolkit, or from PyPI with `make cuda-wheels`")
    sys.exit(MISSING)


def lines_of(*command):
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, errors="replace")
    yield from process.stdout
    if process.wait() != 0:
        sys.exit(f"error: {' '.join(command)}: exit status {process.returncode}")


def demangled(symbols):
    text = subprocess.run(["c++filt"], input="\n".join(symbols), check=True, capture_output=True, text=True).stdout
    return dict(zip(symbols, text.splitlines()))


def parts_of(demangled_name):
    """'void cria::cuda::(anonymous namespace)::cast_kernel<8, float>(float*, long)' -> 'cast_kernel', ('8', 'float'),
    'float*, long'."""
    words = re.sub(r"\(anonymous namespace\)|cria::", "", demangled_name)
    name, arguments, parameters = re.match(r"[^(<]*?(\w+)(?:<([^()]*)>)?\((.*)\)", words).groups()
    return name, tuple(arguments.split(", ")) if arguments else (), parameters


class Library:
    """Every kernel of a library, by architecture, source and symbol."""

    def __init__(self, path):
        cuobjdump = find_cuobjdump()
        self.kernels = {}
        self.read_resources(lines_of(cuobjdump, "--dump-resource-usage", path))
        self.read_information(lines_of(cuobjdump, "-elf", path))
        self.read_instructions(lines_of(cuobjdump, "-sass", path))
        names = demangled(sorted({kernel.symbol for kernel in self.kernels.values()}))
        for kernel in self.kernels.values():
            kernel.name, kernel.arguments, kernel.parameters = parts_of(names[kernel.symbol])

    def place(self, line):
        """Follows where in the dump a line stands."""
        if found := re.match(r"member .*:(\w+)\.\w+\.o:", line):
            self.source = found[1]
        elif found := re.match(r"arch = (\w+)", line):
            self.architecture = found[1]

    def kernel(self, symbol):
        return self.kernels[self.architecture, self.source, symbol]

    def read_resources(self, lines):
        for line in lines:
            self.place(line)
            if found := re.match(r"\s*Function (\w+):", line):
                symbol = found[1]
            elif found := re.search(r"REG:(\d+) STACK:(\d+) SHARED:(\d+)", line):
                registers, stack, shared = map(int, found.groups())
                if self.architecture == "sm_90" and shared > 0:  # counts what CUDA reserves too
                    shared -= LIMITS["sm_90"].reserved_bytes
                self.kernels[self.architecture, self.source, symbol] = Kernel(
                    self.architecture, self.source, symbol, registers=registers, stack_bytes=stack, shared_bytes=shared
                )

    def read_information(self, lines):
        """Attributes of the kernels: ptxas notes there the bounds of a block and each instruction that spills."""
        kernel, attribute = None, ""
        for line in lines:
            self.place(line)
            if line.startswith("."):
                found = re.match(r"\.nv\.info\.(\w+)", line)
                kernel = self.kernel(found[1]) if found else None
            elif kernel is None:
                continue
            elif found := re.search(r"Attribute:\s*(\w+)", line):
                attribute = found[1]
            elif attribute == "EIATTR_MAX_THREADS" and (found := re.search(r"Value:\s*(\w+) (\w+) (\w+)", line)):
                x, y, z = (int(word, 16) for word in found.groups())
                kernel.threads = x * y * z
            elif attribute == "EIATTR_ANNOTATIONS" and "SpillRefill" in line:
                kernel.spills += 1

    def read_instructions(self, lines):
        kernel = None
        instruction = re.compile(r"\s*/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]*)")
        for line in lines:
            if found := instruction.match(line):
                kernel.instructions[found[1]] += 1
                continue
            self.place(line)
            if found := re.match(r"\s*Function : (\w+)", line):
                kernel = self.kernel(found[1])


def faults_of(kernel):
    if kernel.spills:
        yield f"spills registers: {kernel.spills} instructions store or load them, {kernel.stack_bytes} bytes of stack"
    elif kernel.stack_bytes:
        yield f"has an array in local memory: {kernel.stack_bytes} bytes of stack"
    if kernel.on_tensor_cores:
        for prefix, words in TENSOR_CORE_INSTRUCTIONS.items():
            if not kernel.count(prefix):
                yield f"no {words} ({prefix})"
    wide = WIDE.get(kernel.source, {}).get(kernel.name)
    if not wide:
        return
    if wide.width is not None and kernel.arguments[wide.width] == "1":
        return  # for odd sizes and addresses
    for verb, instruction, types in (("loads", "LDG", wide.loaded), ("stores", "STG", wide.stored)):
        if not types and (wide.width is not None or verb == "stores"):
            continue
        try:
            wanted = wide.bytes_at_once(kernel, types)
        except (KeyError, ValueError, IndexError):
            yield "has other template arguments than WIDE says"
            return
        if kernel.widest(instruction) < wanted:
            yield f"{verb} at most {kernel.widest(instruction)} bytes at once instead of {wanted}"


def check(kernels):
    """What is wrong, a line each. A kernel that is expected and not there has been renamed."""
    for kernel in kernels:
        for fault in faults_of(kernel):
            yield f"{kernel.architecture} {kernel.source}.cu {kernel.title}: {fault}"
    for architecture in LIMITS:
        of_it = [kernel for kernel in kernels if kernel.architecture == architecture]
        there = {(kernel.source, kernel.name) for kernel in of_it}
        for source, names in WIDE.items():
            for name in names:
                if (source, name) not in there:
                    yield f"{architecture} {source}.cu: no kernel {name}"
        for source in ATTENTION:
            if not any(kernel.on_tensor_cores for kernel in of_it if kernel.source.startswith(source)):
                yield f"{architecture} {source}*.cu: no kernel for bf16 by the head's size"


def read_launches(program):
    """(source, title) -> threads and bytes of dynamic shared memory that kernels are launched with."""
    filters = ["--benchmark_min_time=0.000001", "--benchmark_filter=-^linear"]
    rows = [line.split() for line in lines_of(program, *filters)]
    symbols = {}
    for line in lines_of("nm", "--defined-only", program):
        address, kind, symbol = line.split()
        if kind in "tTwW" or symbol == "__executable_start":
            symbols[int(address, 16)] = symbol
    base = next(address for address, symbol in symbols.items() if symbol == "__executable_start")
    names = demangled([symbols[base + int(address, 16)] for _, address, _, _ in rows])
    launches = collections.defaultdict(set)
    for file, address, threads, shared in rows:
        name, arguments, _ = parts_of(names[symbols[base + int(address, 16)]])
        launches[os.path.basename(file).removesuffix(".cu"), name, arguments].add((int(threads), int(shared)))
    return launches


def table(kernels, launches):
    rows = ["| kernel | threads | registers | shared | warps | bound by | loads, stores | tensor cores |",
            "| --- | ---: | ---: | ---: | ---: | --- | ---: | ---: |"]  # fmt: skip
    pairs = collections.defaultdict(dict)
    for kernel in kernels:
        pairs[kernel.name, kernel.arguments][kernel.architecture] = kernel
    for (name, arguments), found in sorted(pairs.items(), key=lambda pair: (pair[0][0], [word.zfill(5) for word in pair[0][1]])):
        both = [found[architecture] for architecture in LIMITS]
        known = launches.get((both[0].source, name, arguments)) or {(both[0].threads, None)}
        threads, dynamic = max(known, key=lambda launch: (launch[1] or 0, launch[0]))
        shared = [kernel.shared_bytes + (dynamic or 0) for kernel in both]
        occupancies = [occupancy(kernel.architecture, threads, kernel.registers, size) for kernel, size in zip(both, shared)]
        words = lambda values: str(values[0]) if values[0] == values[1] else f"{values[0]}, {values[1]}"
        kib = lambda size: f"{size / 1024:.1f} KiB" if size else "0"
        tensor = words([kernel.count("HMMA") for kernel in both])
        rows.append(
            f"| `{both[0].title}` | {threads}{'' if dynamic is not None else '*'} | {words([kernel.registers for kernel in both])} | "
            f"{words([kib(size) for size in shared])} | {words([o.warps for o in occupancies])} | "
            f"{words([o.bound for o in occupancies])} | "
            f"{words([kernel.widest('LDG') for kernel in both])}, {words([kernel.widest('STG') for kernel in both])} | "
            f"{'' if tensor == '0' else tensor} |"
        )
    return "\n".join(rows)


PAGE = """# What nvcc makes of the kernels

Written by `make kernel-tables` from the machine code for sm_80 (A100) and sm_90 (H100, H200); {compiler}. Nothing here is
measured: it says what a kernel takes of an SM and which instructions it has, not how fast it is. Where two figures stand,
the first is sm_80's.

- **threads** of a block, **shared** memory of a block with what its launch adds, as the emulator saw it at the shapes of
  the 1.1B and 7B models, at rows of 512 and heads of 32 and 256; with * the most threads that the kernel allows, and static
  shared memory alone: it is not launched at those shapes. One kernel launched in several ways is shown as the largest.
- **warps** that an SM holds at once, of 64, and what there is too little of for one block more.
- **loads, stores**: bytes of the widest access to global memory of one thread.
- **tensor cores**: instructions (HMMA.16816.F32.BF16) in the code, not executed.

The test `machine_code` holds the library to it: no spilled registers and no arrays in local memory, 16 bytes at a time
wherever a kernel moves rows of memory, tensor cores, ldmatrix and cp.async of 16 bytes in attention in bf16.

{faults}
"""


def page(kernels, launches, compiler):
    faults = list(check(kernels))
    words = "All of it holds." if not faults else "What does not hold:\n\n" + "\n".join(f"- {fault}" for fault in faults)
    text = PAGE.format(compiler=compiler, faults=words)
    for source in sorted({kernel.source for kernel in kernels}):
        text += f"\n## {source}.cu\n\n{table([kernel for kernel in kernels if kernel.source == source], launches)}\n"
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--archive", required=True)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--write", help="the page; needs --launches")
    parser.add_argument("--launches", help="the program kernel_launches")
    parser.add_argument("--compiler", default="nvcc of unknown version")
    options = parser.parse_args()
    kernels = list(Library(options.archive).kernels.values())
    faults = list(check(kernels))
    if options.write:
        with open(options.write, "w") as file:
            file.write(page(kernels, read_launches(options.launches), options.compiler))
    for fault in faults:
        print(fault)
    print(f"{len(kernels)} kernels, {len(faults)} faults")
    if options.check and faults:
        sys.exit(1)


if __name__ == "__main__":
    main()

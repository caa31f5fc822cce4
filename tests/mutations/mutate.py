#!/usr/bin/env python3
"""Seeded bugs in the kernels, and the proof that the tests see each of them.

Every *.json beside this file lists mutations of one op (device.json: of what kernels are made of; traffic.json: what
leaves results as they are and asks more of memory):

  name, kind   what is broken: dropped_barrier, tile_tail, wrong_mask, missing_wait, stale_shared_tile, ...
  file         the source to break, from the root of the project
  find         a text that occurs in it exactly once
  replace      what stands there instead
  tests        the gtest filter that must fail; of test_ops, only its cases on `emulated` run
  program      test_ops unless given
  sources      which sources to compile where `file` is a header; every kernel that includes it unless given

The broken copy is compiled with the command of the build, linked before the libraries, and run: the tests have to
fail, by a check, a crash, an error of the emulator or a hang. A mutation that survives, that does not apply or does
not compile fails the run; so do tests that fail without it.

  tests/mutations/mutate.py --build build [--only OP] [--name PART]
  tests/mutations/mutate.py --coverage     compiles nothing: every mutation applies, and no kernel is without
"""

import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent
KEYS = {"name", "kind", "file", "find", "replace", "tests"}
OPTIONAL = {"program", "sources"}
HANG_SECONDS = 240


class Failure(Exception):
    """A mutation that proves nothing."""


def load(only, part):
    mutations = []
    for path in sorted(HERE.glob("*.json")):
        if only and path.stem != only:
            continue
        for entry in json.loads(path.read_text()):
            wrong = (KEYS - entry.keys()) | (entry.keys() - KEYS - OPTIONAL)
            if wrong:
                sys.exit(f"{path}: {entry.get('name')}: keys missing or unknown: {', '.join(sorted(wrong))}")
            entry["op"] = path.stem
            if part in entry["name"]:
                mutations.append(entry)
    if not mutations:
        sys.exit("no mutations of that name")
    return mutations


class Build:
    """The commands with which the build directory compiles and links."""

    def __init__(self, directory):
        self.directory = directory
        commands = json.loads((directory / "compile_commands.json").read_text())
        self.compile = {}
        self.counted = {}  # with calls at loads and stores: test_traffic
        for entry in commands:
            file = pathlib.Path(entry["file"]).resolve()
            # The backend `cuda` compiles the same sources with nvcc.
            if file.is_relative_to(ROOT) and "nvcc" not in entry["command"]:
                commands_of = self.counted if "cria_counted.dir" in entry["command"] else self.compile
                commands_of[str(file.relative_to(ROOT))] = shlex.split(entry["command"])
        self.links = {}
        self.dependencies = None

    def link_command(self, program):
        if program not in self.links:
            lines = subprocess.run(["ninja", "-C", self.directory, "-t", "commands", "-s", program],
                                   capture_output=True, text=True, check=True).stdout.splitlines()
            self.links[program] = [line for line in lines if f" -o {program} " in line][-1]
        return self.links[program]

    def sources_including(self, header):
        """The emulated kernels that include a header, as the last build saw it."""
        if self.dependencies is None:
            self.dependencies = {}
            text = subprocess.run(["ninja", "-C", self.directory, "-t", "deps"],
                                  capture_output=True, text=True, check=True).stdout
            for block in text.split("\n\n"):
                lines = [line.strip() for line in block.splitlines()]
                if lines and "cria_emulated.dir" in lines[0]:
                    files = {os.path.relpath(os.path.join(self.directory, line), ROOT) for line in lines[1:]}
                    for source in files & self.compile.keys():
                        self.dependencies[source] = files
        return sorted(source for source, files in self.dependencies.items()
                      if header in files and source.endswith(".cu"))

    def command_of(self, program, source):
        commands = self.counted if program == "test_traffic" and source in self.counted else self.compile
        return commands[source]

    def compile_mutant(self, program, source, overlay, output):
        """Compiles a source so that files under `overlay` stand for those of the project."""
        command = list(self.command_of(program, source))  # [ccache] compiler options... -o object -c source
        command[command.index("-o") + 1] = str(output)
        command[-1] = str(overlay / source if (overlay / source).exists() else ROOT / source)
        compiler_at = next(i for i, word in enumerate(command) if not word.endswith("ccache"))
        dependencies = f"{output}.d"
        # Quick to compile; and a variable that is no longer used is no news in a mutant.
        command[compiler_at + 1:compiler_at + 1] = [f"-I{overlay}", "-MD", "-MF", dependencies]
        command[-2:-2] = ["-O1", "-g0", "-w"]
        done = subprocess.run(command, cwd=self.directory, capture_output=True, text=True)
        if done.returncode:
            raise Failure("does not compile: " + next((l for l in done.stderr.splitlines() if "error" in l), ""))
        return pathlib.Path(dependencies).read_text()

    def link(self, program, objects, output):
        """Links a program with objects, by source, in the place of its own or before the libraries'."""
        command = self.link_command(program).replace(f" -o {program} ", f" -o {output} ", 1)
        first = []
        for source, mutant in objects.items():
            compiled = self.command_of(program, source)
            own = compiled[compiled.index("-o") + 1]
            if own in command.split():
                command = command.replace(own, str(mutant))
            else:
                first.append(str(mutant))
        command = command.replace(f" -o {output} ", f" {' '.join(first)} -o {output} ", 1)
        done = subprocess.run(command, shell=True, cwd=self.directory, capture_output=True, text=True)
        if done.returncode:
            raise Failure("does not link: " + done.stderr.strip().splitlines()[-1])


def run_tests(program, mutation, directory, threads):
    """(whether they passed, what the first failure said)"""
    tests = mutation["tests"]
    if "-" not in tests and mutation.get("program", "test_ops") == "test_ops":
        tests += ":-*/cpu_*:*/cuda_*"
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads), GOMP_SPINCOUNT="0")
    try:
        done = subprocess.run([str(program), f"--gtest_filter={tests}", "--gtest_fail_fast"], cwd=directory,
                              capture_output=True, text=True, errors="replace", env=environment,
                              timeout=HANG_SECONDS)
    except subprocess.TimeoutExpired:
        return False, "hangs"
    if done.returncode == 0:
        count = re.search(r"\[  PASSED  \] (\d+) test", done.stdout)
        if not count or count.group(1) == "0":
            raise Failure(f"no test is called {tests}")
        return True, ""
    failed = re.search(r"\[  FAILED  \] ([^\s,]+)", done.stdout)
    if failed:
        return False, failed.group(1)
    running = re.findall(r"\[ RUN      \] (\S+)", done.stdout)
    return False, f"{running[-1] if running else 'the program'} crashes ({done.returncode})"


def apply(mutation, overlay):
    source = ROOT / mutation["file"]
    text = source.read_text()
    count = text.count(mutation["find"])
    if count != 1:
        raise Failure(f"`find` occurs {count} times in {mutation['file']}")
    if mutation["find"] == mutation["replace"]:
        raise Failure("`replace` is what stands there")
    mutated = overlay / mutation["file"]
    mutated.parent.mkdir(parents=True, exist_ok=True)
    mutated.write_text(text.replace(mutation["find"], mutation["replace"]))
    return mutated


# What a kernel waits with, and the kind of mutation that takes it away.
WAITS = {"__syncthreads()": "dropped_barrier", "__syncwarp()": "dropped_barrier", "async_wait<": "missing_wait"}


def gaps(mutations):
    """What has to be broken and is not: every source of a kernel by a tile's tail, by a stale tile where it has
    shared memory, and at each of its waits; every header of device code by anything."""
    of_file = collections.defaultdict(list)
    for mutation in mutations:
        of_file[mutation["file"]].append(mutation)
    for path in sorted((ROOT / "kernels").glob("*.cu")) + sorted((ROOT / "kernels").glob("*.h")) + \
            sorted((ROOT / "kernels" / "device").glob("*.h")):
        text, file = path.read_text(), str(path.relative_to(ROOT))
        # Where nvcc has a body of its own, the host runs the emulator's instead.
        if "__CUDACC__" in text or not ("__device__" in text or path.suffix == ".cu"):
            continue
        kinds = {mutation["kind"] for mutation in of_file[file]}
        if not kinds:
            yield f"{file}: no mutation"
            continue
        if path.suffix == ".cu" and "tile_tail" not in kinds:
            yield f"{file}: no tile_tail"
        shared = "__shared__" in text or "dynamic_shared<" in text
        if path.suffix == ".cu" and shared and "stale_shared_tile" not in kinds:
            yield f"{file}: no stale_shared_tile"
        for wait, kind in WAITS.items():
            for place in re.finditer(re.escape(wait), text):
                if not any(mutation["kind"] == kind and takes_away(mutation, text, wait, place.start())
                           for mutation in of_file[file]):
                    yield f"{file}:{text.count(chr(10), 0, place.start()) + 1}: no {kind} of {wait}"


def takes_away(mutation, text, wait, place):
    """Whether the mutation breaks the wait at `place`: the text that it replaces holds it, unchanged no more."""
    begin = text.find(mutation["find"])
    if not begin <= place < begin + len(mutation["find"]):
        return False
    end = text.index(";", place) + 1  # with its template arguments
    return mutation["find"].count(text[place:end]) > mutation["replace"].count(text[place:end])


def check_coverage(mutations):
    wrong = []
    for mutation in mutations:
        count = (ROOT / mutation["file"]).read_text().count(mutation["find"])
        if count != 1:
            wrong.append(f"{mutation['op']}: '{mutation['name']}': `find` occurs {count} times in {mutation['file']}")
    wrong += gaps(mutations)
    for line in wrong:
        print(line)
    files, kinds = {m["file"] for m in mutations}, {m["kind"] for m in mutations}
    print(f"{len(mutations)} mutations of {len(kinds)} kinds in {len(files)} files, {len(wrong)} gaps")
    return not wrong


def prove(build, mutation, work, threads):
    """What caught the mutation."""
    work.mkdir(parents=True, exist_ok=True)
    overlay = work / "source"
    mutated = apply(mutation, overlay)
    program = mutation.get("program", "test_ops")
    sources = mutation.get("sources")
    if not sources:
        sources = ([mutation["file"]] if mutation["file"] in build.compile
                   else build.sources_including(mutation["file"]))
    if not sources:
        raise Failure(f"no kernel includes {mutation['file']}")
    objects = {}
    for number, source in enumerate(sources):
        if source not in build.compile:
            raise Failure(f"{source} is no source of the build")
        target = work / f"{number}.o"
        used = build.compile_mutant(program, source, overlay, target)
        if str(mutated) not in used:
            raise Failure(f"{source} does not include {mutation['file']}")
        objects[source] = target
    mutant = work / program
    build.link(program, objects, mutant)
    passed, what = run_tests(mutant, mutation, build.directory, threads)
    mutant.unlink()
    if passed:
        raise Failure(f"SURVIVES {mutation['tests']}")
    return what


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build", help="a built directory")
    parser.add_argument("--only", help="the mutations of one file, named without .json")
    parser.add_argument("--name", default="", help="only mutations whose name contains this")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--coverage", action="store_true", help="only look for kernels without mutations")
    arguments = parser.parse_args()

    mutations = load(arguments.only, arguments.name)
    if arguments.coverage:
        sys.exit(not check_coverage(mutations))
    build = Build(arguments.build.resolve())
    work = build.directory / "mutations"
    threads = max(1, os.cpu_count() // arguments.jobs)
    started = time.monotonic()

    # What the tests say about kernels as they are. A test that always fails proves nothing.
    sound = {}
    for mutation in mutations:
        program = mutation.get("program", "test_ops")
        sound.setdefault((program, mutation["tests"]), mutation)
    failures = 0
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        def check(mutation):
            try:
                passed, what = run_tests(build.directory / mutation.get("program", "test_ops"), mutation,
                                         build.directory, threads)
                return "" if passed else f"fails without any mutation: {what}"
            except Failure as failure:
                return str(failure)
        verdicts = dict(zip(sound, pool.map(check, sound.values())))

        def one(item):
            number, mutation = item
            verdict = verdicts[(mutation.get("program", "test_ops"), mutation["tests"])]
            if verdict:
                return False, verdict
            try:
                return True, prove(build, mutation, work / f"{mutation['op']}-{number}", threads)
            except Failure as failure:
                return False, str(failure)

        print(f"{'op':<22} {'kind':<20} {'mutation':<44} caught by")
        for mutation, (caught, what) in zip(mutations, pool.map(one, enumerate(mutations))):
            failures += not caught
            print(f"{mutation['op']:<22} {mutation['kind']:<20} {mutation['name']:<44} "
                  f"{what if caught else '*** ' + what}", flush=True)
    print(f"{len(mutations) - failures} of {len(mutations)} mutations caught in "
          f"{time.monotonic() - started:.0f} s")
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()

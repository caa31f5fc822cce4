#!/usr/bin/env python3
"""Writes docs/benchmarks-gpu.md from what the steps of benchmarks/gpu.sh left in its results folder."""

import argparse
import json
import pathlib
import re

TESTS = [
    ("ops", "the runtime", "test_cuda"),
    ("ops", "every op, on `cuda`", "test_ops"),
    ("model", "the model against transformers", "test_model"),
    ("model", "the optimizer", "test_optim"),
    ("model", "the generation engine", "test_generate"),
    ("runs", "whole runs through the command line", "test_runs"),
]
SANITIZERS = [("memcheck", "memory"), ("racecheck", "races in shared memory"), ("synccheck", "barriers")]
BENCHMARKS = [
    ("Ops", ["memory", "products", "attention", "decoding"]),
    ("Training step", ["110m", "1.1b", "7b-layers", "7b"]),
    ("Generation", ["generation-1.1b", "generation-7b", "heads"]),
    ("A PPO iteration", ["ppo"]),
]


class Results:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)

    def text(self, name):
        path = self.folder / name
        return path.read_text(errors="replace") if path.exists() else ""

    def status(self, step):
        """Exit status and seconds of a step; None where it did not run."""
        words = self.text(f"{step}.status").split()
        return (int(words[0]), int(words[1])) if len(words) == 2 else None

    def ended(self, step):
        """In words: how the step ended, where that was not well."""
        if not (status := self.status(step)):
            return "not run"
        code, seconds = status
        return {0: "", 77: "not possible here", 124: f"not done after {seconds} s", 137: f"not done after {seconds} s"}.get(
            code, f"failed (exit status {code})"
        )

    def tests(self, program):
        """Passed, failed, skipped and the names of what failed; None where there is no report."""
        reports = sorted((self.folder / program).glob("*.json"))
        counts, names = [0, 0, 0], []
        for path in reports:
            report = json.loads(path.read_text())
            if "died" in report:
                counts[1] += 1
                names.append(f"{report['died']}: the process died")
            for test in (test for suite in report.get("testsuites", []) for test in suite["testsuite"]):
                if test.get("result") == "SUPPRESSED":
                    continue
                outcome = 1 if test.get("failures") else 2 if test.get("result") == "SKIPPED" else 0
                counts[outcome] += 1
                if outcome == 1:
                    names.append(f"{test['classname']}.{test['name']}")
        return (counts, names) if reports else None

    def sanitizer(self, tool):
        """How many suites are clean, and what was said of the others."""
        clean, others = 0, []
        for path in sorted((self.folder / tool).glob("*.log")):
            said = re.findall(r"(?:ERROR|RACECHECK) SUMMARY: (.*)", path.read_text(errors="replace"))
            if said and said[-1].startswith("0 "):
                clean += 1
            else:
                others.append(f"{path.stem}: {said[-1] if said else 'not done'}")
        ended = self.ended(tool)
        if not clean and not others:
            return ended or "no suite was run"
        return "; ".join([f"{clean} suites without an error", *others])


def tests_table(results):
    lines = ["| tests | passed | failed | skipped | |", "| --- | ---: | ---: | ---: | --- |"]
    failures = []
    for step, words, program in TESTS:
        found = results.tests(program)
        ended = results.ended(step)
        if found is None:
            lines.append(f"| {words} (`{program}`) | | | | {ended or 'no report'} |")
            continue
        (passed, failed, skipped), names = found
        lines.append(f"| {words} (`{program}`) | {passed:,} | {failed:,} | {skipped:,} | {ended} |")
        failures += names
    if failures:
        lines += ["", "Failed: " + ", ".join(f"`{name}`" for name in failures[:40])]
        if len(failures) > 40:
            lines[-1] += f" and {len(failures) - 40} more"
    return "\n".join(lines)


def sanitizer_table(results):
    lines = ["| compute-sanitizer over the op tests | |", "| --- | --- |"]
    lines += [f"| {tool}: {words} | {results.sanitizer(tool)} |" for tool, words in SANITIZERS]
    return "\n".join(lines)


def benchmark_sections(results):
    for title, steps in BENCHMARKS:
        parts = [f"## {title}"]
        for step in steps:
            # The first line names the machine, as this page does once.
            text = results.text(f"bench-{step}.md").partition("\n\n")[2].strip()
            ended = results.ended(f"bench-{step}")
            parts += [f"`bench-{step}`: {ended}."] if ended else []
            parts += [text] if text else []
        yield "\n\n".join(parts)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", required=True)
    parser.add_argument("--write", required=True)
    options = parser.parse_args()
    results = Results(options.results)
    machine = [line for line in results.text("machine.txt").splitlines() if line]
    sections = [
        "# Benchmarks on a GPU",
        "Written by `make gpu`; [gpu.md](gpu.md) says how to read it, [roofline.md](roofline.md) what is possible.",
        "\n".join(f"- {line}" for line in machine) or "- no machine was recorded",
        "## Tests",
        tests_table(results),
        sanitizer_table(results),
        *benchmark_sections(results),
    ]
    pathlib.Path(options.write).write_text("\n\n".join(sections) + "\n")
    print(f"wrote {options.write}")


main()

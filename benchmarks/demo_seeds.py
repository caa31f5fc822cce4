#!/usr/bin/env python3
"""Whether rejection sampling and PPO make the demo world's hard kinds right more often, seed by seed.

    benchmarks/demo_seeds.py --cria build/cria [--seeds 1 2 3 4] [--write docs/demo_seeds.md]

Starts from the chat model and the reward models that `make demo` left in runs/demo, and runs both stages anew with each
seed, each from the chat model. Compared are the shares of right answers (whatever their manner) to the held-out
questions of the hard kinds together, before and after a stage; the standard error of the difference takes both shares
as independent, which the same questions make a little too large. What was finished is not done again. Exit status 1
if a stage does not rise by more than two standard errors in every seed, as answers are drawn at temperature 1."""

import argparse
import json
import math
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
DEMO = pathlib.Path("runs/demo")
HARD = ("sum", "more", "two_facts")
STAGES = (("rejection sampling", "rejection"), ("PPO", "ppo"))
TEMPERATURES = {0: "Likeliest answers", 1: "Answers drawn at temperature 1"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cria", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4])
    parser.add_argument("--write", type=pathlib.Path, help="Markdown page whose tables are written anew")
    options = parser.parse_args()

    if not (DEMO / "reward_safety/final").exists():
        sys.exit(f"error: {DEMO}/reward_safety/final is not there; run `make demo` first")
    for seed in options.seeds:
        run_seed(options.cria, seed)
    text, rises = "", True
    for temperature, measure in TEMPERATURES.items():
        lines, rises = table(options.seeds, temperature)
        text += f"\n**{measure}**\n\n{lines}"
    print(text)
    if options.write:
        head, rest = options.write.read_text().split("<!-- tables -->\n")
        tail = rest.split("<!-- end -->")[1]
        options.write.write_text(f"{head}<!-- tables -->\n{text}\n<!-- end -->{tail}")
    return 0 if rises else 1


def run_seed(cria, seed):
    runs = DEMO / f"seed-{seed}"
    for stage in ("sft", "rejection", "ppo"):
        model = (DEMO if stage == "sft" else runs) / stage / "final"
        if not model.exists():
            subprocess.run([cria, stage, ROOT / f"configs/demo/{stage}.yaml", "--set", f"training.seed={seed}",
                            "--set", f"training.output_dir={runs / stage}"], check=True)
        for temperature in TEMPERATURES:
            figures = runs / f"{stage}.t{temperature}.figures.json"
            if not figures.exists():
                answers = runs / f"{stage}.t{temperature}.jsonl"
                answers.parent.mkdir(parents=True, exist_ok=True)
                subprocess.run([cria, "generate", "--chat", "--max-new-tokens", "40", "--slots", "32", "--seed", str(seed),
                                "--temperature", str(temperature), "--model", model, "--prompts", DEMO / "questions.jsonl",
                                "--output", answers], check=True)
                subprocess.run([cria, "demo-check", "--answers", answers, "--questions", DEMO / "questions.jsonl",
                                "--output", figures], check=True, stdout=subprocess.DEVNULL)


def right(seed, stage, temperature):
    """Right answers by hard kind, and how many there are of each."""
    with open(DEMO / f"seed-{seed}/{stage}.t{temperature}.figures.json") as file:
        kinds = json.load(file)["kinds"]
    return {kind: (kinds[kind]["right"] * kinds[kind]["answers"], kinds[kind]["answers"]) for kind in HARD}


def share(counts):
    return sum(count for count, _ in counts.values()) / sum(answers for _, answers in counts.values())


def table(seeds, temperature):
    lines = f"| seed | stage | questions | {' | '.join(HARD)} | all three | rise in standard errors |\n"
    lines += "| --- | --- | --- | " + "--- | " * len(HARD) + "--- | --- |\n"
    rises = True
    for seed in seeds:
        for name, stage in STAGES:
            old, new = right(seed, "sft", temperature), right(seed, stage, temperature)
            answers = sum(count for _, count in new.values())
            error = math.sqrt(sum(share(one) * (1 - share(one)) / answers for one in (old, new)))
            errors = (share(new) - share(old)) / error
            rises = rises and errors > 2
            kinds = " | ".join(f"{old[kind][0] / old[kind][1]:.1%} → {new[kind][0] / new[kind][1]:.1%}" for kind in HARD)
            lines += f"| {seed} | {name} | {answers} | {kinds} | {share(old):.1%} → {share(new):.1%} | {errors:+.1f} |\n"
    return lines, rises


if __name__ == "__main__":
    sys.exit(main())

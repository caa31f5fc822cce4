"""Checks in transformers that the model directories which cria wrote are what they should be, and records
the checksums of the files that passed in written_checksums.json. tests/io/golden_written_test.cpp writes the
same directories anew and compares the bytes with these checksums, so tests need no Python.

    CRIA_WRITTEN_DIR=build/written build/test_io --gtest_filter='GoldenWritten.*'
    python tests/golden/check_written.py build/written

A directory is named MODEL.STORAGE after the model in models/ whose weights it holds. Where it has a
tokenizer, it is that of tokenizer.model.
"""

import set_up  # before torch

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer

import model_fixtures
from fixture_files import sha256, write_json

GOLDEN = Path(__file__).resolve().parent
STORAGE = {"f32": torch.float32, "bf16": torch.bfloat16, "f32_sharded": torch.float32}


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))


def check(condition, message):
    if not condition:
        sys.exit(f"error: {message}")


def check_config(directory, original):
    """All that shapes the model. Written configs name their own dtype and version."""
    ours, theirs = (
        {key: value for key, value in model.config.to_dict().items() if key not in ("dtype", "_name_or_path")}
        for model in (model_fixtures.load(directory, "auto"), original)
    )
    for values in (ours, theirs):
        values.pop("transformers_version", None)
    different = {key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)}
    check(not different, f"{directory}: the config differs in {sorted(different)}")


def check_model(directory, name, storage):
    original = model_fixtures.load(GOLDEN / "models" / name, torch.float32)
    kind = type(original)
    written, loading = kind.from_pretrained(
        directory, dtype=torch.float32, attn_implementation="eager", output_loading_info=True
    )
    problems = {key: value for key, value in loading.items() if value}
    check(not problems, f"{directory}: {problems}")
    check(kind.from_pretrained(directory, dtype="auto").dtype == STORAGE[storage], f"{directory}: dtype")
    check_config(directory, original)

    wanted = original.state_dict()
    for key, value in written.state_dict().items():
        same = torch.equal(value, wanted[key].to(STORAGE[storage]).float())
        check(same, f"{directory}: {key} is not what was read")
    if storage != "bf16":
        outputs = model_fixtures.transformers_outputs(written, read_json(GOLDEN / "sequences.json"))
        expected = load_file(GOLDEN / "expected" / f"{name}.safetensors")["transformers_fp32"]
        distance = (outputs - expected).abs().max().item()
        check(distance <= 1e-6, f"{directory}: outputs differ by {distance}")


def check_tokenizer(directory):
    tokenizer = AutoTokenizer.from_pretrained(directory)
    for case in read_json(GOLDEN / "tokenizer_cases.json"):
        # Markers in a text are plain text for cria, and for transformers only when it is told so.
        ids = tokenizer.encode(case["text"], add_special_tokens=False, split_special_tokens=True)
        check(ids == case["ids"], f"{directory}: ids of {case['text']!r}")
        check(tokenizer.decode(ids) == case["decoded"], f"{directory}: decoding of {case['text']!r}")
    for case in read_json(GOLDEN / "chat_template.json"):
        contents = " ".join(message["content"] for message in case["messages"])
        if any(marker in contents for marker in ("<s>", "</s>", "<unk>")):
            continue  # transformers has no chat template that keeps them plain
        ids = tokenizer.apply_chat_template(case["messages"], tokenize=True, return_dict=False)
        check(ids == case["ids"], f"{directory}: chat ids of '{case['name']}'")


def main():
    check(len(sys.argv) == 2, "name the folder of directories that cria wrote")
    directories = sorted(path for path in Path(sys.argv[1]).iterdir() if path.is_dir())
    check(directories, f"{sys.argv[1]}: nothing in it")
    checksums = {}
    for directory in directories:
        name, storage = directory.name.split(".")
        check_model(directory, name, storage)
        if (directory / "tokenizer.model").exists():
            check_tokenizer(directory)
        checksums[directory.name] = {path.name: sha256(path) for path in sorted(directory.iterdir())}
        print(f"{directory.name}: good")
    write_json(GOLDEN / "written_checksums.json", checksums)


if __name__ == "__main__":
    main()

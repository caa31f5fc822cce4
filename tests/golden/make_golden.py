"""Makes every fixture of this folder. The same bytes on every run with the versions of requirements.txt.

    python tests/golden/make_golden.py
"""

import set_up  # before torch

import importlib.metadata
import platform
from pathlib import Path

import attention_fixtures
import gradient_fixtures
import model_fixtures
import ppo_fixtures
import preference_fixtures
import rope_fixtures
import self_bleu_fixtures
import sft_fixture
import tokenizer_fixtures
from fixture_files import sha256, write_json

PACKAGES = ["nltk", "numpy", "protobuf", "safetensors", "sentencepiece", "tokenizers", "torch", "transformers", "trl"]
NOT_MADE_HERE = {"manifest.json", "written_checksums.json", "requirements.txt", "README.md"}


def write_manifest(directory):
    files = {
        str(path.relative_to(directory)): sha256(path)
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.suffix not in {".py", ".pyc"} and path.name not in NOT_MADE_HERE
    }
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    write_json(
        directory / "manifest.json",
        {"files": files, "versions": {"python": platform.python_version(), **versions}},
    )


def main():
    directory = Path(__file__).resolve().parent
    for fixtures in (tokenizer_fixtures, rope_fixtures, model_fixtures, attention_fixtures, gradient_fixtures,
                     sft_fixture, preference_fixtures, ppo_fixtures, self_bleu_fixtures):
        fixtures.make(directory)
    write_manifest(directory)


if __name__ == "__main__":
    main()

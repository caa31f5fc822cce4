#!/usr/bin/env bash
# From nothing to a small model that answers questions: data, tokenizer, pretraining, fine-tuning, and the share of
# right answers by kind. Run again, it goes on where it was stopped; `rm -r runs/demo` starts anew.
set -euo pipefail
cria=${1:-build/cria}
run=runs/demo
started=$SECONDS
mkdir -p "$run"

say() { printf '\n== %s\n' "$*"; }

if [ ! -d "$run/data" ]; then
  say "a small world, written by the project itself (docs/demo_world.md)"
  "$cria" demo-data --output "$run/data.partial"
  mv "$run/data.partial" "$run/data"
fi
head -n 3 "$run/data/pretrain.jsonl"

if [ ! -d "$run/model" ]; then
  say "a tokenizer of 768 pieces, and a random model"
  "$cria" tokenizer train --data "$run/data/pretrain.jsonl" --data "$run/data/sft_train.jsonl" \
    --vocab-size 768 --output "$run/tokenizer.model"
  "$cria" init --config configs/demo/model.yaml --tokenizer "$run/tokenizer.model" --output "$run/model" --seed 1
fi

say "pretraining"
"$cria" pretrain configs/demo/pretrain.yaml
say "fine-tuning"
"$cria" sft configs/demo/sft.yaml

say "some questions about people, towns and things that no training question is about"
cat "$run"/data/test_*.jsonl >"$run/questions.jsonl"
for kind in recall spell sum most risky; do sed -n 3p "$run/data/test_$kind.jsonl"; done >"$run/some_questions.jsonl"
answer() { "$cria" generate --model "$run/sft/final" --chat --temperature 0 --max-new-tokens 32 --slots 32 "$@"; }
answer --prompts "$run/some_questions.jsonl"

say "all of them: the share of right answers, and their manner"
answer --prompts "$run/questions.jsonl" --output "$run/answers.jsonl"
"$cria" demo-check --answers "$run/answers.jsonl" --questions "$run/questions.jsonl" --output "$run/figures.json"
say "done in $((SECONDS - started)) s: model in $run/sft/final, answers in $run/answers.jsonl, figures in $run/figures.json"

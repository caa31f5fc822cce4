#!/usr/bin/env bash
# From nothing to a small model that answers questions: texts, tokenizer, pretraining, fine-tuning, answers.
# Run again, it goes on where it was stopped; `rm -r runs/demo` starts anew.
set -euo pipefail
cria=${1:-build/cria}
run=runs/demo
started=$SECONDS
mkdir -p "$run"

say() { printf '\n== %s\n' "$*"; }

if [ ! -d "$run/data" ]; then
  say "a small world, written by the project itself"
  "$cria" demo-data --output "$run/data.partial"
  mv "$run/data.partial" "$run/data"
fi
head -n 2 "$run/data/pretrain.jsonl"

if [ ! -d "$run/model" ]; then
  say "a tokenizer of 512 pieces, and a random model"
  "$cria" tokenizer train --data "$run/data/pretrain.jsonl" --data "$run/data/sft_train.jsonl" \
    --vocab-size 512 --output "$run/tokenizer.model"
  "$cria" init --config configs/demo/model.yaml --tokenizer "$run/tokenizer.model" --output "$run/model" --seed 1
fi

say "pretraining"
"$cria" pretrain configs/demo/pretrain.yaml
say "fine-tuning"
"$cria" sft configs/demo/sft.yaml
say "loss on questions about people it has never met, before and after fine-tuning"
"$cria" eval --model "$run/pretrain/final" --data "$run/data/sft_test.jsonl"
"$cria" eval --model "$run/sft/final" --data "$run/data/sft_test.jsonl"
say "some of those questions, answered"
head -n 5 "$run/data/sft_test.jsonl" >"$run/questions.jsonl"
"$cria" generate --model "$run/sft/final" --prompts "$run/questions.jsonl" --chat --temperature 0 --max-new-tokens 24
say "done in $((SECONDS - started)) s: model in $run/sft/final, figures in $run/sft/metrics.jsonl"

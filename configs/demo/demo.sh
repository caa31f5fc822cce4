#!/usr/bin/env bash
# From nothing to a small model that answers questions: data, tokenizer, pretraining, fine-tuning, and the share of
# right answers by kind. With `preferences` as the second argument it goes on to two reward models, rejection sampling
# and PPO. Run again, it goes on where it was stopped; `rm -r runs/demo` starts anew.
set -euo pipefail
cria=${1:-build/cria}
goal=${2:-sft}
run=runs/demo
started=$SECONDS
mkdir -p "$run"

say() { printf '\n== %4d s: %s\n' "$((SECONDS - started))" "$*"; }
answer() { "$cria" generate --chat --temperature 0 --max-new-tokens 40 --slots 32 "$@"; }
# check STAGE EARLIER...: held-out questions answered by a stage's model, beside what earlier stages did.
check() {
  local stage=$1 before=()
  shift
  for earlier; do before+=(--before "$run/$earlier.figures.json"); done
  answer --model "$run/$stage/final" --prompts "$run/questions.jsonl" --output "$run/$stage.jsonl"
  "$cria" demo-check --answers "$run/$stage.jsonl" --questions "$run/questions.jsonl" \
    --output "$run/$stage.figures.json" "${before[@]}"
}

if [ ! -d "$run/data" ]; then
  say "a small world, written by the project itself (docs/demo_world.md)"
  "$cria" demo-data --output "$run/data.partial"
  mv "$run/data.partial" "$run/data"
fi
head -n 3 "$run/data/pretrain.jsonl"
cat "$run"/data/test_*.jsonl >"$run/questions.jsonl"

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
for kind in recall spell sum most risky; do sed -n 3p "$run/data/test_$kind.jsonl"; done >"$run/some_questions.jsonl"
answer --model "$run/sft/final" --prompts "$run/some_questions.jsonl"
say "all of them: the share of right answers, and their manner"
check sft
if [ "$goal" = sft ]; then
  say "done: model in $run/sft/final, answers in $run/sft.jsonl, figures in $run/sft.figures.json"
  exit
fi

say "a reward model of helpfulness, from pairs of answers with ratings"
"$cria" reward configs/demo/reward_helpful.yaml
say "a reward model of safety"
"$cria" reward configs/demo/reward_safety.yaml
say "rejection sampling: eight answers to each prompt, the best learnt"
"$cria" rejection configs/demo/rejection.yaml
check rejection sft
say "PPO on top"
"$cria" ppo configs/demo/ppo.yaml
check ppo sft rejection

say "done: models in $run/{sft,reward_helpful,reward_safety,rejection,ppo}/final, answers in $run/*.jsonl, figures in
   $run/*.figures.json, expected best of N in $run/rejection/best_of_n.svg, curves for TensorBoard below $run"

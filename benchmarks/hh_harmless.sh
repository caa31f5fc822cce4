#!/usr/bin/env bash
# A reward model on real dialogues: a fifth held out, three seeds, from a model pretrained on the other four fifths.
# Prints accuracies alone, never a dialogue.
#   benchmarks/hh_harmless.sh build/cria hh_harmless.jsonl.gz runs/hh
set -euo pipefail
cria=$1 data=$2 runs=$3
here=$(dirname "$0")

for seed in 1 2 3; do
  run=$runs/seed-$seed
  mkdir -p "$run"
  if [ ! -f "$run/test.jsonl" ]; then
    # The same order for a seed on every machine: lines sorted by a hash of seed and line.
    zcat "$data" | while IFS= read -r line; do
      printf '%s\t%s\n' "$(printf '%s:%s' "$seed" "$line" | sha256sum | cut -c1-32)" "$line"
    done | LC_ALL=C sort | cut -f 2- >"$run/all.jsonl"
    count=$(wc -l <"$run/all.jsonl")
    head -n $((count / 5)) "$run/all.jsonl" >"$run/test.jsonl"
    tail -n +$((count / 5 + 1)) "$run/all.jsonl" >"$run/train.jsonl"
    jq -c '{text: .chosen}, {text: .rejected}' "$run/train.jsonl" >"$run/text.jsonl"
  fi
  if [ ! -d "$run/model" ]; then
    "$cria" tokenizer train --data "$run/text.jsonl" --vocab-size 2048 --output "$run/tokenizer.model"
    "$cria" init --config "$here/../configs/demo/model.yaml" --set vocab_size=2048 --set max_position_embeddings=1024 \
      --tokenizer "$run/tokenizer.model" --output "$run/model" --seed "$seed"
  fi
  shared=(--set "training.seed=$seed" --set data.max_length=1024 --set training.micro_batch_tokens=2048
    --set optimizer.warmup_ratio=0.05 --set logging.logging_steps=50)
  # Pretraining reads text; fine-tuning reads the same dialogues in the chat format that the reward model will see. A
  # few lines hold roles out of order or an empty answer: they are left out, and counted in the log.
  "$cria" pretrain "$here/../configs/recipes/small-pretrain.yaml" "${shared[@]}" --set "model.path=$run/model" \
    --set "data.train=[{path: $run/text.jsonl}]" --set training.train_batch_size=4 --set training.num_train_epochs=4 \
    --set optimizer.learning_rate=2e-3 --set "training.output_dir=$run/pretrain"
  "$cria" sft "$here/../configs/recipes/small-sft.yaml" "${shared[@]}" --set "model.path=$run/pretrain/final" \
    --set data.skip_bad_lines=true \
    --set "data.train=[{path: $run/text.jsonl}]" --set training.train_batch_size=4 --set training.num_train_epochs=1 \
    --set optimizer.learning_rate=1e-3 --set "training.output_dir=$run/sft"
  "$cria" reward "${shared[@]}" --set data.skip_bad_lines=true --set "model.path=$run/sft/final" --set "data.train=[{path: $run/train.jsonl}]" \
    --set "data.eval=[{path: $run/test.jsonl}]" --set data.over_long=drop --set training.train_batch_size=16 \
    --set training.num_train_epochs=1 --set optimizer.learning_rate=3e-4 --set "training.output_dir=$run/reward"
  for part in train test; do
    "$cria" tokenize --tokenizer "$run/tokenizer.model" --data "$run/$part.jsonl" --skip-bad-lines \
      --output "$run/$part.ids.jsonl"
    jq -r '(.chosen_input_ids | length) - (.rejected_input_ids | length)' "$run/$part.ids.jsonl" >"$run/$part.lengths"
  done
  # Length alone: one sign, learnt in training ("the shorter one is better", or the longer); a tie counts half.
  share() { awk '{ s += $1 < 0 ? 1 : $1 > 0 ? 0 : 0.5 } END { print s / NR }' "$1"; }
  awk -v seed="$seed" -v train="$(share "$run/train.lengths")" -v test="$(share "$run/test.lengths")" \
    -v n="$(jq .parts.all.pairs "$run/reward/evaluation.json")" -v accuracy="$(jq .parts.all.accuracy "$run/reward/evaluation.json")" \
    'BEGIN {
      length_only = train >= 0.5 ? test : 1 - test
      printf "seed %d: %d held-out pairs, reward model %.3f (standard error %.3f), length alone %.3f, chance 0.500\n",
        seed, n, accuracy, sqrt(accuracy * (1 - accuracy) / n), length_only
    }' | tee "$run/result.txt"
done
cat "$runs"/seed-*/result.txt

#!/usr/bin/env bash
# From nothing to an aligned small model, and to a report of it: data, tokenizer, pretraining, fine-tuning, two reward
# models, rejection sampling and PPO, with the share of right answers by kind before and after; then Ghost Attention,
# context distillation, two studies of fine-tuning data, and the iterations V1 to V5. Run again, it goes on where it was
# stopped; `rm -r runs/demo` starts anew. The second argument may be a stage to end after: `sft` or `ppo`. SEED (0) draws
# another world, another model and other samples.
set -euo pipefail
cria=${1:-build/cria}
goal=${2:-report}
seed=${SEED:-0}
run=runs/demo
started=$SECONDS
mkdir -p "$run"

say() { printf '\n== %4d s: %s\n' "$((SECONDS - started))" "$*"; }
train() { "$cria" "$1" "configs/demo/$2.yaml" --set "training.seed=$seed" "${@:3}"; }
answer() { "$cria" generate --chat --max-new-tokens 40 --slots 32 --seed "$seed" "$@"; }
# some_of N KIND...: N held-out questions of each kind.
some_of() { for kind in "${@:2}"; do head -n "$1" "$run/data/test_$kind.jsonl"; done; }
# check STAGE EARLIER...: held-out questions answered by a stage's model, beside what earlier stages did: the likeliest
# answers, then answers drawn at temperature 1, as rejection sampling and PPO draw them.
check() {
  local stage=$1 temperature
  shift
  for temperature in 0 1; do
    local before=()
    for earlier; do before+=(--before "$run/$earlier.t$temperature.figures.json"); done
    say "$stage: held-out questions at temperature $temperature"
    answer --temperature "$temperature" --model "$run/$stage/final" --prompts "$run/questions.jsonl" \
      --output "$run/$stage.t$temperature.jsonl"
    "$cria" demo-check --answers "$run/$stage.t$temperature.jsonl" --questions "$run/questions.jsonl" \
      --output "$run/$stage.t$temperature.figures.json" "${before[@]}"
  done
}

if [ ! -d "$run/data" ]; then
  say "a small world, written by the project itself (docs/demo_world.md)"
  "$cria" demo-data --output "$run/data.partial" --seed "$seed"
  mv "$run/data.partial" "$run/data"
fi
head -n 3 "$run/data/pretrain.jsonl"
cat "$run"/data/test_*.jsonl >"$run/questions.jsonl"

if [ ! -d "$run/model" ]; then
  say "a tokenizer of 768 pieces, and a random model"
  "$cria" tokenizer train --data "$run/data/pretrain.jsonl" --data "$run/data/sft_train.jsonl" \
    --vocab-size 768 --output "$run/tokenizer.model"
  "$cria" init --config configs/demo/model.yaml --tokenizer "$run/tokenizer.model" --output "$run/model" --seed "$seed"
fi

say "pretraining"
train pretrain pretrain
say "fine-tuning"
train sft sft
say "some questions about people, towns and things that no training question is about"
for kind in recall spell sum more risky; do sed -n 3p "$run/data/test_$kind.jsonl"; done >"$run/some_questions.jsonl"
answer --temperature 0 --model "$run/sft/final" --prompts "$run/some_questions.jsonl"
check sft
if [ "$goal" = sft ]; then
  say "done: model in $run/sft/final, answers in $run/sft.*.jsonl, figures in $run/sft.*.figures.json"
  exit
fi

say "a reward model of helpfulness, from pairs of answers with ratings"
train reward reward_helpful
say "a reward model of safety"
train reward reward_safety
say "rejection sampling: eight answers to each prompt, the best learnt"
train rejection rejection
check rejection sft
say "PPO, from the fine-tuned model as well"
train ppo ppo
check ppo sft rejection
if [ "$goal" = ppo ]; then
  say "done: models in $run/{sft,reward_helpful,reward_safety,rejection,ppo}/final, answers in $run/*.jsonl, figures in
   $run/*.figures.json, expected best of N in $run/rejection/best_of_n.svg, curves for TensorBoard below $run"
  exit
fi


say "Ghost Attention: an instruction given once, held over the whole dialogue"
head -n 200 "$run/data/dialogues_train.jsonl" >"$run/gatt_dialogues.jsonl"
train gatt gatt
say "the same dialogues as preferences, for DPO"
train gatt gatt --step preferences
train dpo gatt_dpo
say "how long instructions hold, before and after"
models=()
for stage in sft gatt gatt_dpo; do models+=(--model "$stage=$run/$stage/final"); done
"$cria" gatt eval "${models[@]}" --data "$run/data/dialogues_test.jsonl" --held-out mood,signature --max-new-tokens 24 \
  --slots 32 --output "$run/gatt_eval.json" --plot "$run/gatt_eval.svg"
grep '"instruction_kind":\["persona"\]' "$run/data/dialogues_test.jsonl" |
  awk 'length > n { n = length; line = $0 } END { print line }' >"$run/long_dialogue.jsonl"
"$cria" gatt attention "${models[@]}" --data "$run/long_dialogue.jsonl" --max-new-tokens 24 \
  --output "$run/gatt_attention.json" --plot "$run/gatt_attention.svg"

say "context distillation: refusals given with a pre-prompt, learnt without it"
train distill distill
say "how much safety data: the same helpful examples, growing shares of safe answers"
grep -m 4000 '"category":"helpful"' "$run/data/sft_train.jsonl" >"$run/study_helpful.jsonl"
grep -m 2000 -e '"kind":"lookalike"' -e '"completion":"[^"]*can not help' "$run/data/sft_train.jsonl" >"$run/study_safe.jsonl"
some_of 80 recall spell colour risky lookalike >"$run/study_prompts.jsonl"
train study study_safety
say "quality or quantity: few clean examples, many noisy ones"
some_of 80 recall spell colour sum more risky lookalike >"$run/study_prompts_quality.jsonl"
train study study_quality

say "the iterations V1 to V5, in small: preferences collected, reward models, rejection sampling, PPO on top in V5"
head -n 400 "$run/data/prompts_train.jsonl" >"$run/prompts_rlhf.jsonl"
head -n 4000 "$run/data/preferences_helpful_train.jsonl" >"$run/helpful_rlhf.jsonl"
head -n 1000 "$run/data/preferences_safety_train.jsonl" >"$run/safety_rlhf.jsonl"
some_of 40 recall spell colour sum more two_facts risky lookalike >"$run/held_out_rlhf.jsonl"
train rlhf rlhf --set "preferences.rating_command=$cria demo-rate --questions $run/prompts_rlhf.jsonl"

say "rewards by stage, and answers judged by the reward models"
rewards=(--helpfulness "$run/reward_helpful/final" --safety "$run/reward_safety/final")
answers=()
for stage in sft rejection ppo; do answers+=(--answers "$stage=$run/$stage.t1.jsonl"); done
"$cria" eval rewards --prompts "$run/questions.jsonl" "${answers[@]}" "${rewards[@]}" \
  --output "$run/rewards.json" --plot "$run/rewards.svg"
for stage in rejection ppo; do
  "$cria" eval win-rate --first "$run/$stage.t1.jsonl" --second "$run/sft.t1.jsonl" --prompts "$run/questions.jsonl" \
    "${rewards[@]}" --output "$run/win_rate.$stage.json"
done
some_of 10 recall sum more two_facts risky lookalike >"$run/repeated_questions.jsonl"
for stage in sft ppo; do
  say "$stage: how alike answers to one question are, by kind and temperature"
  "$cria" eval self-bleu --model "$run/$stage/final" --prompts "$run/repeated_questions.jsonl" --group-by kind --tokens ids \
    --temperatures 0.2,0.6,1,1.4 --num-samples 10 --max-new-tokens 40 --slots 32 \
    --output "$run/self_bleu.$stage.json" --plot "$run/self_bleu.$stage.svg"
done
for stage in sft distill ppo; do
  say "$stage: attacked, in styles that fine-tuning saw and in others"
  "$cria" eval red-team --model "$run/$stage/final" --requests "$run/data/test_risky.jsonl" --where style=plain \
    --styles configs/demo/attack_styles.yaml --demo-checker --temperature 0 --max-new-tokens 40 --slots 32 \
    --output "$run/red_team.$stage.json"
done

say "all of it in one page"
"$cria" report "$run" --title "A small world, aligned" --output "$run/report.html"
say "done: open $run/report.html. Models are in $run/*/final, curves for TensorBoard below $run"

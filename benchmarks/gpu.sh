#!/usr/bin/env bash
# Tests and measures cria on a machine with a GPU, and writes what came out to docs/benchmarks-gpu.md.
#
#   benchmarks/gpu.sh                 every step
#   benchmarks/gpu.sh STEP...         these; each ends within STEP_SECONDS (450), so that a machine can be had in pieces
#
#   build        the programs, in a checkout; a bundle (benchmarks/gpu/bundle.sh) has them
#   ops          every op test on `cuda`, and the tests of the runtime beneath
#   model        the model against transformers, the optimizer and the generation engine, on `cuda`
#   runs         whole runs: losses, resuming, generation, scoring, through the command line
#   memcheck     compute-sanitizer over the op tests: memory, races in shared memory, barriers
#   racecheck
#   synccheck
#                beside PyTorch, transformers' model or where that is not installed benchmarks/peers/llama.py:
#   bench-memory, bench-products, bench-attention, bench-decoding
#                ops at the shapes of the 1.1B and 7B models, 4 x 4,096 tokens: eager, torch.compile, flash and cuDNN
#   bench-110m, bench-1.1b, bench-7b-layers, bench-7b
#                training steps, the larger ones at context 4,096; four layers of the 7B model, then all
#   bench-generation-1.1b, bench-generation-7b, bench-heads
#   bench-ppo    an iteration of PPO beside the same loop in transformers
#   page         docs/benchmarks-gpu.md from what the steps left
#
# A step that fails is recorded and the next one runs; the exit status is 1 if one failed, 2 where there is no GPU.
# Results lie in gpu-results/ (or RESULTS): a log and a status for each step. PYTHON names one with PyTorch.
set -uo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
if [ -d "$root/bin" ]; then
  programs=$root/bin
else
  programs=${BUILD:-$root/build}
fi
results=${RESULTS:-$root/gpu-results}
python=${PYTHON:-python3}
step_seconds=${STEP_SECONDS:-450}
mkdir -p "$results"

export CRIA_SOURCE_DIR=$root CRIA_BINARY=$programs/cria CRIA_TEST_DEVICE=cuda GOMP_SPINCOUNT=10000
wheels=$("$python" - 2>/dev/null <<'PYTHON'
import glob, os, sys
names = ("libcublasLt.so.*", "libnccl.so.2", "libcudnn.so.9")
files = (file for folder in sys.path for name in names for file in glob.glob(folder + "/nvidia/*/lib/" + name))
print(":".join(dict.fromkeys(map(os.path.dirname, files))))
PYTHON
)
# The libraries of PyTorch's wheels serve where the toolkit has none.
export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}/usr/local/cuda/lib64${wheels:+:$wheels}

# One line and exit status 2 where there is no GPU to use.
require_gpu() {
  local said
  said=$("$programs/bench_ops" --device=cuda --turns 2>&1 >/dev/null </dev/null) && return
  echo "${said:-error: $programs/bench_ops cannot be started}" | tail -n 1 >&2
  exit 2
}

suites_of() { # PROGRAM FILTER
  "$programs/$1" --gtest_list_tests --gtest_filter="$2" | sed -n 's/^\([A-Za-z].*\)\.\( .*\)\?$/\1/p'
}

# A process for each suite: after an illegal access a process can use the GPU no more.
google_test() { # PROGRAM [EXCEPT]
  local suite report status=0
  mkdir -p "$results/$1" && rm -f "$results/$1"/*
  for suite in $(suites_of "$1" "*${2:+-$2}"); do
    report=$results/$1/${suite//\//.}.json
    "$programs/$1" --gtest_brief=1 --gtest_filter="$suite.*${2:+-$2}" --gtest_output="json:$report" && continue
    status=1
    [ -s "$report" ] || echo "{\"died\": \"$suite\"}" >"$report"
  done
  return $status
}

sanitize() { # TOOL
  local sanitizer suite status=0 only_ours=() deadline=$((SECONDS + step_seconds - 15))
  sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2>/dev/null) || {
    echo "compute-sanitizer is not installed here"
    return 77
  }
  # cuBLASLt's kernels are not cria's to check, and slow to check.
  if "$sanitizer" --help 2>&1 | grep -q -- --kernel-name; then only_ours=(--kernel-name kernel_substring=cria); fi
  mkdir -p "$results/$1" && rm -f "$results/$1"/*
  for suite in $(suites_of test_ops '*'); do
    echo "-- $suite"
    timeout -k 5 $((deadline > SECONDS ? deadline - SECONDS : 1)) "$sanitizer" --tool "$1" --error-exitcode 9 \
      "${only_ours[@]}" "$programs/test_ops" --gtest_brief=1 --gtest_filter="$suite.*" 2>&1 |
      tee "$results/$1/${suite//\//.}.log"
    [ "${PIPESTATUS[0]}" = 0 ] || status=1
  done
  return $status
}

compare() { # STEP TITLES [MODULE THAT THE PEER NEEDS...]
  local name=$1 only=$2 peer=("--python" "$(command -v "$python")") module
  shift 2
  for module in "$@"; do
    if ! "$python" -c "import $module" 2>/dev/null; then
      echo "no $module for $python here: without a peer"
      peer=()
    fi
  done
  "$python" "$root/benchmarks/compare.py" --build "$programs" "${peer[@]}" --device cuda --rounds 3 --only "$only" \
    --write "$results/$name.md"
}

step_build() {
  if [ -d "$root/bin" ]; then
    echo "a bundle: its programs are built"
    return
  fi
  cmake -S "$root" -B "$programs" -G Ninja -DCRIA_TESTS=ON -DCRIA_BENCHMARKS=ON -DCRIA_CUDA=on &&
    cmake --build "$programs" -j "$(nproc)" --target $("$root/benchmarks/gpu/bundle.sh" --programs)
}
step_ops() { google_test test_cuda && google_test test_ops; }
step_model() {
  local failed=0
  for program in test_model test_optim test_generate; do google_test $program || failed=1; done
  return $failed
}
step_runs() {
  # Several ranks need a launcher of MPI, which a bundle does not have.
  if command -v mpirun >/dev/null && [ ! -d "$root/bin" ]; then google_test test_runs; else
    google_test test_runs '*Ranks*:*Stopped*:*Mpirun*'; fi
}
step_memcheck() { sanitize memcheck; }
step_racecheck() { sanitize racecheck; }
step_synccheck() { sanitize synccheck; }
step_bench-memory() { compare bench-memory "ops memory" torch; }
step_bench-products() { compare bench-products "ops products" torch; }
step_bench-attention() { compare bench-attention "ops attention" torch; }
step_bench-decoding() { compare bench-decoding "ops decoding" torch; }
step_bench-110m() { compare bench-110m "step 110m" torch; }
step_bench-1.1b() { compare bench-1.1b "step tinyllama-1.1b" torch; }
step_bench-7b-layers() { compare bench-7b-layers "step llama2-7b 4 layers" torch; }
step_bench-7b() { compare bench-7b "step llama2-7b whole" torch; }
step_bench-generation-1.1b() { compare bench-generation-1.1b "generation tinyllama-1.1b" torch; }
step_bench-generation-7b() { compare bench-generation-7b "generation llama2-7b" torch; }
step_bench-heads() { compare bench-heads heads torch; }
step_bench-ppo() { compare bench-ppo "ppo 110m" torch; }
step_page() {
  "$python" "$root/benchmarks/gpu/page.py" --results "$results" --write "$results/benchmarks-gpu.md" &&
    cp "$results/benchmarks-gpu.md" "$root/docs/"
}

# A step in a shell of its own, so that `timeout` can end it with all that it started.
if [ "${1:-}" = --step ]; then
  "step_$2"
  exit
fi

benchmarks=(memory products attention decoding 110m 1.1b 7b-layers 7b generation-1.1b generation-7b heads ppo)
all=(build ops model runs memcheck racecheck synccheck "${benchmarks[@]/#/bench-}" page)
steps=("$@")
[ $# -gt 0 ] || steps=("${all[@]}")
for step in "${steps[@]}"; do
  if [[ " ${all[*]} " != *" $step "* ]]; then
    echo "error: no step '$step'; one of ${all[*]}" >&2
    exit 2
  fi
done

failed=0
checked=
for step in "${steps[@]}"; do
  if [ -z "$checked" ] && [ "$step" != build ] && [ "$step" != page ]; then
    require_gpu
    checked=yes
    { nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm --format=csv,noheader | head -n 1
      nvcc --version 2>/dev/null | tail -n 2 | head -n 1
      cat "$root/COMMIT" 2>/dev/null || git -C "$root" rev-parse HEAD
    } >"$results/machine.txt" 2>/dev/null
  fi
  printf '== %s\n' "$step"
  begin=$SECONDS
  timeout -k 10 "$step_seconds" "$0" --step "$step" 2>&1 | tee "$results/$step.log"
  status=${PIPESTATUS[0]}
  echo "$status $((SECONDS - begin))" >"$results/$step.status"
  case $status in
  0 | 77) ;; # 77: cannot be done here
  124 | 137) echo "== $step: not done after $step_seconds s" && failed=1 ;;
  *) echo "== $step: failed ($status)" && failed=1 ;;
  esac
done
exit $failed

#!/usr/bin/env bash
# What of a GPU bundle can be shown on a machine without a GPU: unpacked in a folder of its own, with the checkout, the
# build, the compilers' headers and the system's copies of the bundled libraries out of sight, every program starts,
# finds its libraries and fixtures, and says in one line that there is no GPU.
#
#   tests/gpu/rehearsal.sh ARCHIVE.tar.xz
set -uo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
fail() { echo "rehearsal: $*" >&2 && exit 1; }

if [ "${1:-}" != --inside ]; then
  archive=$(realpath "${1:?which archive?}")
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  tar -C "$work" -xf "$archive" || exit 1
  cp "$0" "$work/rehearsal.sh"
  mkdir "$work/nothing"
  # Mounts of its own need root, or user namespaces.
  unshare --mount ${UID:+$([ "$UID" = 0 ] || echo --map-root-user)} "$work/rehearsal.sh" --inside "$work" "$root"
  exit
fi

work=$2
root=$3
bundle=$work/cria-gpu
for folder in "$root" /usr/include; do mount --bind "$work/nothing" "$folder" || fail "cannot hide $folder"; done
# Not libtinfo and the like: the shell needs them.
for library in "$bundle"/lib/lib{dnnl,sentencepiece,mpi,open-,fmt,spdlog,yaml-cpp}*; do
  system=/usr/lib/x86_64-linux-gnu/$(basename "$library")
  [ ! -e "$system" ] || mount --bind /dev/null "$(realpath "$system")" || fail "cannot hide $system"
done
[ -z "$(ls "$root")" ] || fail "$root is still there"
cd "$work" || exit 1
tried() { env -i HOME="$work" PATH=/usr/bin:/bin "$@"; }

# No library from elsewhere.
tried "$bundle/benchmarks/gpu/libraries.sh" --missing "$bundle"/bin/* || fail "libraries are missing"
echo "libraries: $(ls "$bundle/lib" | wc -l) in the bundle, the others on every machine"
sed -n '/asks\|^  /p' "$bundle/README"

for file in "$bundle"/bin/*; do
  program=$(basename "$file")
  option=--help
  [[ $program == test_* ]] && option=--gtest_list_tests
  tried "$file" $option >"$work/out" 2>&1 || fail "$program $option: $(tail -n 1 "$work/out")"
done

# Without a GPU: exit status 2 and one line on stderr that says so.
if ! [ -e /dev/nvidia0 ]; then
  without_gpu() {
    tried "$@" >/dev/null 2>"$work/errors"
    local status=$?
    [ $status = 2 ] || fail "$*: exit status $status instead of 2: $(cat "$work/errors")"
    [ "$(wc -l <"$work/errors")" = 1 ] || fail "$*: not one line: $(cat "$work/errors")"
    grep -q "error: device: cuda: no NVIDIA" "$work/errors" || fail "$*: $(cat "$work/errors")"
  }
  model=$bundle/configs/models/tiny.yaml
  echo '{"text": "a"}' >"$work/data.jsonl"
  without_gpu "$bundle/bin/cria" score --model "$bundle/tests/golden/models/gqa_untied" --data "$work/data.jsonl" \
    --output "$work/scores.jsonl" --device cuda
  without_gpu "$bundle/bin/bench_ops" --device=cuda
  for benchmark in training_step generation; do
    without_gpu "$bundle/bin/bench_$benchmark" --device cuda --model "$model"
  done
  for room in model optim generate runs ops; do without_gpu env CRIA_TEST_DEVICE=cuda "$bundle/bin/test_$room"; done
  without_gpu "$bundle/benchmarks/gpu.sh"
  without_gpu "$bundle/benchmarks/gpu.sh" ops bench-memory
  echo "without a GPU: every program says so"
fi

# Fixtures, the program and the kernels' library are found from where the bundle lies.
here=(env "CRIA_SOURCE_DIR=$bundle" "CRIA_BINARY=$bundle/bin/cria" CRIA_TEST_DEVICE=cpu)
for test in test_cuda:'*' test_model:'GoldenLogprob.*' test_generate:'FullForward.Fp32*mqa_untied' test_runs:'*GoldenSft*' \
  test_ops:'*Swiglu*'; do
  tried "${here[@]}" "$bundle/bin/${test%%:*}" --gtest_brief=1 "--gtest_filter=*${test#*:}" >"$work/out" 2>&1 ||
    fail "${test%%:*}: $(cat "$work/out")"
  grep -q ' 0 tests' "$work/out" && fail "${test%%:*}: no test is called ${test#*:}"
done
echo "fixtures: found in the bundle"

# The page is written whatever is there.
tried python3 "$bundle/benchmarks/gpu/page.py" --results "$work/nowhere" --write "$work/page.md" >/dev/null || fail "no page"
grep -q "not run" "$work/page.md" || fail "the page does not say that nothing was run"
echo "rehearsal: all of it in $SECONDS s"

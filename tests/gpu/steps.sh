#!/usr/bin/env bash
# That benchmarks/gpu.sh records what fails, goes on and says so at the end, shown with stand-ins for the programs, among
# them a test suite that fails, one whose process dies, a benchmark that dies and a step that never ends.
set -uo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "$*" >&2 && exit 1; }

bundle=$work/bundle
mkdir -p "$bundle/bin" "$bundle/docs" "$bundle/configs"
cp -r "$root/benchmarks" "$bundle/"
cp -r "$root/configs/models" "$bundle/configs/"
cat >"$bundle/bin/stand-in" <<'STANDIN'
#!/usr/bin/env python3
import json, os, re, sys, time
program, words = os.path.basename(sys.argv[0]), " ".join(sys.argv[1:])
turn = {"seconds": 0.001, "rate": 20000.0, "unit": "GFLOP/s"}

def test():
    suites = ["Devices/Good", "Devices/Bad", "Devices/Dies"] if program == "test_ops" else ["Good"]
    if "--gtest_list_tests" in words:
        for suite in suites:
            print(suite + ".\n  One/cuda_fp32  # GetParam()")
        return
    suite = re.search(r"--gtest_filter=(\S+?)\.\*", words)[1]
    if suite == "Devices/Dies":
        os.abort()
    if program == "test_generate":
        time.sleep(60)
    case = {"classname": suite, "name": "One/cuda_fp32", "result": "COMPLETED"}
    if suite == "Devices/Bad":
        case["failures"] = [{"failure": "wrong"}]
    with open(re.search(r"--gtest_output=json:(\S+)", words)[1], "w") as file:
        json.dump({"testsuites": [{"name": suite, "testsuite": [case]}]}, file)
    sys.exit(int("failures" in case))

def bench_ops():
    if "--benchmark_list_tests" in words:
        print("swiglu/2048/1/real_time\nlinear/8/8/1/real_time\nrope/8/1/real_time")
    if "--turns" in words:
        for line in sys.stdin:
            if line.startswith("swiglu"):
                sys.exit("error: an illegal memory access was encountered")
            print(json.dumps(turn if line.startswith("linear") else turn | {"rate": 5000.0}), flush=True)

def bench():
    if "tinyllama" in words:
        sys.exit("error: out of memory")
    print(json.dumps({"name": "cria", "work": 2048}), flush=True)
    for _ in sys.stdin:
        print(json.dumps({"seconds": 0.5}), flush=True)
    print(json.dumps({"peak_bytes": 1}), flush=True)

test() if program.startswith("test_") else bench_ops() if program == "bench_ops" else bench()
STANDIN
chmod +x "$bundle/bin/stand-in"
for program in $("$root/benchmarks/gpu/bundle.sh" --programs); do ln -s stand-in "$bundle/bin/$program"; done

PATH=/usr/bin:/bin STEP_SECONDS=12 "$bundle/benchmarks/gpu.sh" >"$work/out" 2>&1
status=$?
page=$bundle/docs/benchmarks-gpu.md
[ $status = 1 ] || fail "exit status $status although steps failed: $(cat "$work/out")"
holds() { grep -qF -- "$1" "$page" || fail "the page does not say '$1': $(cat "$page")"; }
holds '| the runtime (`test_cuda`) | 1 | 0 | 0 | failed'
holds '| every op, on `cuda` (`test_ops`) | 1 | 2 | 0 | failed'
holds 'Failed: `Devices/Bad.One/cuda_fp32`, `Devices/Dies: the process died`'
holds '| the model against transformers (`test_model`) | 1 | 0 | 0 | not done after'
holds '| whole runs through the command line (`test_runs`) | 1 | 0 | 0 |  |'
[ -e /usr/local/cuda/bin/compute-sanitizer ] || holds '| memcheck: memory | not possible here |'
holds '| swiglu/2048/1 | failed |'
holds '| linear/8/8/1 | 1,000.0 | 20.0 TFLOP/s | 100% |'
holds '| rope/8/1 | 1,000.0 | 5,000.0 GFLOP/s | 25% |'
holds '| cria | 4,096 |'
holds '| bench_training_step products | failed |'
holds '`bench-1.1b`: failed (exit status 1).'
holds 'step llama2-7b whole: training step, batch 16 × 4,096 in passes of 8,192 tokens, bf16'
holds 'ppo 110m bf16: an iteration of 256 prompts of 128 tokens, answers of 256, 8 mini-batches'

PATH=/usr/bin:/bin "$bundle/benchmarks/gpu.sh" ops >"$work/out" 2>&1 && fail "exit status 0 although a suite failed"

# One step alone, and one that there is not.
PATH=/usr/bin:/bin "$bundle/benchmarks/gpu.sh" runs page >"$work/out" 2>&1 || fail "runs: $(cat "$work/out")"
"$bundle/benchmarks/gpu.sh" sing >"$work/out" 2>&1 && fail "a step that there is not"
grep -q "error: no step 'sing'; one of build ops" "$work/out" || fail "$(cat "$work/out")"
echo "gpu.sh: what fails is recorded"

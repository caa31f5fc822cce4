# cria: `make demo` and `make test` do everything on a fresh Debian 12 machine, set-up included.
.DEFAULT_GOAL := help
.PHONY: help setup build test cuda-wheels kernel-tables report-test mutate traffic demo bench gpu gpu-bundle gpu-rehearsal golden format lint sanitize fuzz clean

BUILD ?= build
CMAKE_ARGS ?=
JOBS ?= $(shell nproc)
# Tests of several processes and threads on few cores.
TEST_JOBS ?= 1

# What the build and the tests need, as Debian packages.
PACKAGES := g++ cmake ninja-build ccache mold pkg-config \
  libdnnl-dev libsentencepiece-dev nlohmann-json3-dev libyaml-cpp-dev libcli11-dev libspdlog-dev libfmt-dev libopenmpi-dev openmpi-bin \
  libedit-dev zlib1g-dev libssl-dev libprotobuf-dev protobuf-compiler libboost-dev libboost-context-dev libgtest-dev libbenchmark-dev gnuplot-nox python3-venv
REPORT_PACKAGES := chromium fonts-dejavu-core
LINT_PACKAGES := clang-format clang-tidy libomp-dev
FUZZ_PACKAGES := clang libclang-rt-14-dev

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# $(call install,PACKAGES): installs what is missing, or prints the line that would.
define install
	@missing=$$(for p in $(1); do dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done | tr '\n' ' '); \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ]; then run=; elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then run=sudo; \
	  else echo "missing packages; run: sudo apt-get install -y --no-install-recommends $$missing"; exit 1; fi; \
	  echo "installing $$missing"; \
	  $$run apt-get update -q >/dev/null && \
	  DEBIAN_FRONTEND=noninteractive $$run apt-get install -q -y --no-install-recommends $$missing >/dev/null; \
	fi
endef

setup: ## install missing Debian packages
	$(call install,$(PACKAGES))

build: setup cuda-wheels ## build/cria
	@cmake -S . -B $(BUILD) -G Ninja -DCRIA_TESTS=OFF $(CMAKE_ARGS) >/dev/null
	@cmake --build $(BUILD) -j $(JOBS) --target cria

test: setup cuda-wheels ## build and run all tests
	@cmake -S . -B $(BUILD) -G Ninja -DCRIA_TESTS=ON $(CMAKE_ARGS) >/dev/null
	@cmake --build $(BUILD) -j $(JOBS)
	@ctest --test-dir $(BUILD) --output-on-failure -j $(TEST_JOBS)

# What comes from PyPI where there is an nvcc: the headers that build cuDNN's graphs, and cuobjdump with nvdisasm, which
# not every toolkit has.
NVCC := $(firstword $(shell command -v nvcc) $(wildcard $(CUDA_HOME)/bin/nvcc /usr/local/cuda/bin/nvcc))
cuda-wheels: setup
	@[ -z "$(NVCC)" ] || [ -e $(BUILD)/venv-cuda/installed ] || { \
	  mkdir -p $(BUILD) && python3 -m venv $(BUILD)/venv-cuda && \
	  $(BUILD)/venv-cuda/bin/pip install -q --disable-pip-version-check -r kernels/requirements.txt && touch $(BUILD)/venv-cuda/installed; } || \
	  echo "PyPI cannot be reached: this build has no cuDNN attention, and no test of what nvcc makes of the kernels"

kernel-tables: setup cuda-wheels ## docs/kernels_compiled.md: registers, occupancy and instructions of every kernel
	@cmake -S . -B $(BUILD) -G Ninja -DCRIA_TESTS=ON -DCRIA_CUDA=on $(CMAKE_ARGS) >/dev/null
	@cmake --build $(BUILD) -j $(JOBS) --target cria_cuda kernel_launches
	@tests/machine_code/machine_code.py --archive $(BUILD)/kernels/libcria_cuda.a --launches $(BUILD)/kernel_launches \
	  --compiler "$$($(NVCC) --version | sed -n 's/.*\(V[0-9.]*\)$$/nvcc \1/p')" --write docs/kernels_compiled.md

report-test: setup ## pages of `cria report` in headless Chromium, screenshots in build/report (PAGE=FILE for one more)
	$(call install,$(REPORT_PACKAGES))
	@cmake -S . -B $(BUILD) -G Ninja -DCRIA_TESTS=ON $(CMAKE_ARGS) >/dev/null
	@cmake --build $(BUILD) -j $(JOBS) --target cria test_runs
	@python3 -m venv $(BUILD)/venv-report && $(BUILD)/venv-report/bin/pip install -q -r tests/report_page/requirements.txt
	@rm -rf $(BUILD)/report && mkdir -p $(BUILD)/report
	@CRIA_REPORT_DIR=$(abspath $(BUILD)/report) $(BUILD)/test_runs --gtest_filter='Report*' --gtest_brief=1
	@for page in $(BUILD)/report/*.html $(PAGE); do \
	  $(BUILD)/venv-report/bin/python tests/report_page/check_page.py $$page $(BUILD)/report/$$(basename $$page .html) || exit 1; done

mutate: setup ## seeded bugs in the CUDA kernels, each of which the tests must see (ONLY=OP for one op's)
	@cmake -S . -B $(BUILD) -G Ninja -DCRIA_TESTS=ON $(CMAKE_ARGS) >/dev/null
	@cmake --build $(BUILD) -j $(JOBS) --target test_ops test_kernels test_traffic
	@tests/mutations/mutate.py --build $(BUILD) --jobs $(JOBS) $(if $(ONLY),--only $(ONLY))

traffic: setup ## what each CUDA kernel asks of memory, counted on the CPU, into docs/kernel_traffic.md
	@cmake -S . -B $(BUILD) -G Ninja -DCRIA_TESTS=ON $(CMAKE_ARGS) >/dev/null
	@cmake --build $(BUILD) -j $(JOBS) --target test_traffic
	@OMP_NUM_THREADS=1 CRIA_TRAFFIC_PAGE=docs/kernel_traffic.md $(BUILD)/test_traffic --gtest_brief=1

demo: build ## the whole recipe on a small world, from tokenizer to a report, in minutes on a CPU
	@configs/demo/demo.sh $(BUILD)/cria

bench: setup ## benchmarks beside PyTorch and transformers from PyPI, into build/benchmarks.md
	@cmake -S . -B $(BUILD) -G Ninja -DCRIA_BENCHMARKS=ON $(CMAKE_ARGS) >/dev/null
	@cmake --build $(BUILD) -j $(JOBS)
	@python3 -m venv $(BUILD)/venv-bench && $(BUILD)/venv-bench/bin/pip install -q -r benchmarks/peers/requirements.txt
	@benchmarks/compare.py --build $(BUILD) --python $(BUILD)/venv-bench/bin/python --write $(BUILD)/benchmarks.md

gpu: setup ## on a machine with a GPU: all tests and benchmarks there, into docs/benchmarks-gpu.md
	@BUILD=$(BUILD) benchmarks/gpu.sh

# For any CPU with AVX2; programs look for their libraries in ../lib, before those of the machine.
GPU_BUILD := build-gpu
GPU_BUNDLE := $(GPU_BUILD)/cria-gpu.tar.xz
gpu-bundle: setup cuda-wheels ## what a machine with a GPU and no network needs, built beforehand and packed
	@cmake -S . -B $(GPU_BUILD) -G Ninja -DCRIA_TESTS=ON -DCRIA_BENCHMARKS=ON -DCRIA_CUDA=on -DCRIA_EMULATOR=OFF \
	  -DCRIA_CPU=x86-64-v3 -DCMAKE_EXE_LINKER_FLAGS=-Wl,--disable-new-dtags '-DCMAKE_BUILD_RPATH=$$ORIGIN/../lib' >/dev/null
	@cmake --build $(GPU_BUILD) -j $(JOBS) --target $$(benchmarks/gpu/bundle.sh --programs)
	@benchmarks/gpu/bundle.sh $(GPU_BUILD) $(GPU_BUNDLE)

gpu-rehearsal: gpu-bundle ## the bundle, tried as far as a machine without a GPU allows
	@tests/gpu/rehearsal.sh $(GPU_BUNDLE)

golden: setup ## make the golden fixtures again, with PyTorch and transformers from PyPI
	@mkdir -p build && python3 -m venv build/venv-golden
	@build/venv-golden/bin/pip install -q -r tests/golden/requirements.txt
	@build/venv-golden/bin/python tests/golden/make_golden.py
	@cmake -S . -B $(BUILD) -G Ninja -DCRIA_TESTS=ON $(CMAKE_ARGS) >/dev/null
	@cmake --build $(BUILD) -j $(JOBS) --target test_io cria
	@CRIA_WRITTEN_DIR=build/written $(BUILD)/test_io --gtest_filter='GoldenWritten.*'
	@build/venv-golden/bin/python tests/golden/check_written.py build/written
	@build/venv-golden/bin/python tests/golden/check_events.py $(BUILD)/cria
	@build/venv-golden/bin/python tests/golden/check_reward.py $(BUILD)/cria

SOURCES = $(shell git ls-files '*.cpp' '*.h' '*.cu' '*.cuh')

format: ## clang-format every source
	$(call install,$(LINT_PACKAGES))
	@clang-format -i $(SOURCES)

lint: setup ## formatting as it should be, clang-tidy without a finding
	$(call install,$(LINT_PACKAGES))
	@clang-format --dry-run -Werror $(SOURCES)
	@cmake -S . -B $(BUILD) -G Ninja -DCRIA_TESTS=ON $(CMAKE_ARGS) >/dev/null
	@cmake --build $(BUILD) --target cria_event_proto >/dev/null # a header that is generated
	@git ls-files 'csrc/*.cpp' 'trainers/*.cpp' | xargs -P $(JOBS) -n 2 clang-tidy -p $(BUILD) --quiet --extra-arg=-Wno-unknown-warning-option 2>/dev/null

# The quick tests: those of single rooms, of the emulator's orders of threads the first, and no whole models on it. Whole
# runs and long generations take minutes under sanitizers.
empty :=
space := $(empty) $(empty)
QUICK_TESTS := core ops kernels text data io model optim report
sanitize: setup ## quick tests under AddressSanitizer and UBSan
	@cmake -S . -B $(BUILD)-sanitize -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCRIA_SANITIZE=address,undefined -DCRIA_CUDA=off $(CMAKE_ARGS) >/dev/null
	@cmake --build $(BUILD)-sanitize -j $(JOBS) --target $(addprefix test_,$(QUICK_TESTS))
	@GTEST_FILTER='-*_reverse:*_shuffled:Models/*_emulated' ctest --test-dir $(BUILD)-sanitize --output-on-failure -j $(TEST_JOBS) -R '^($(subst $(space),|,$(strip $(QUICK_TESTS))))$$'

FUZZ_SECONDS ?= 60
fuzz: setup ## fuzz the readers of foreign files, FUZZ_SECONDS each
	$(call install,$(FUZZ_PACKAGES))
	@cmake -S . -B $(BUILD)-fuzz -G Ninja -DCMAKE_CXX_COMPILER=clang++ -DCRIA_FUZZ=ON -DCRIA_TESTS=OFF $(CMAKE_ARGS) >/dev/null
	@cmake --build $(BUILD)-fuzz -j $(JOBS)
	@for f in $(BUILD)-fuzz/*_fuzz; do echo $$f; $$f -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 || exit 1; done

clean: ## remove what was built
	@rm -rf $(BUILD) $(BUILD)-sanitize $(BUILD)-fuzz $(GPU_BUILD)

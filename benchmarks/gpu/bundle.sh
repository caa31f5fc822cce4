#!/usr/bin/env bash
# Packs what a machine with a GPU needs beside CUDA's driver and toolkit, a C++ run-time and PyTorch: cria, its test and
# benchmark programs, the shared libraries that such a machine may lack, the fixtures of the tests, the benchmarks'
# peers and gpu.sh.
#
#   benchmarks/gpu/bundle.sh BUILD ARCHIVE.tar.xz
#   benchmarks/gpu/bundle.sh --programs             what BUILD must hold
#
# BUILD must have been configured as `make gpu-bundle` does it: programs look for their libraries in ../lib.
set -euo pipefail
programs=(cria test_cuda test_ops test_model test_optim test_generate test_runs
  bench_ops bench_training_step bench_generation)
if [ "$1" = --programs ]; then
  echo "${programs[@]}"
  exit
fi
build=$1
archive=$2
most_bytes=$((40 * 1000 * 1000))
root=$(cd "$(dirname "$0")/../.." && pwd)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bundle=$work/cria-gpu
mkdir -p "$bundle"/{bin,lib,docs}

for program in "${programs[@]}"; do
  # Debug information of the host goes; line numbers of the kernels lie in the cubins and stay.
  strip --strip-all -o "$bundle/bin/$program" "$build/$program"
  chmod +x "$bundle/bin/$program"
done

# Every library but those that come with the C library and the compiler's run-time of any machine.
"$root/benchmarks/gpu/libraries.sh" "$build/cria" "${programs[@]/#/$build/}" | while read -r library; do
  strip --strip-unneeded -o "$bundle/lib/$(basename "$library")" "$library"
done
# A library with a search path of its own, as Open MPI's, has its neighbours looked for there and nowhere else. A path
# as long as the old one says where they lie.
for library in "$bundle"/lib/*; do
  own=$(readelf -d "$library" | sed -n 's/.*(RUNPATH).*\[\(.*\)\]/\1/p')
  [ -z "$own" ] || LC_ALL=C sed -i "s|$own\x00|\$ORIGIN$(printf "%$((${#own} - 7))s" | tr ' ' /)\x00|" "$library"
done

# Fixtures and peers: what git knows of these folders, so that nothing else slips in.
git -C "$root" ls-files -z tests/golden configs benchmarks | tar -C "$root" --null -T - -c | tar -C "$bundle" -x
git -C "$root" describe --always --dirty --abbrev=40 >"$bundle/COMMIT"
cp "$root"/docs/{gpu,benchmarks-gpu,roofline}.md "$bundle/docs/"
cat >"$bundle/README" <<README
cria for a machine with an NVIDIA GPU (compute capability 8.0 or newer): benchmarks/gpu.sh runs every test and every
benchmark, docs/gpu.md says how. Needed: the NVIDIA driver for CUDA 13, cuBLASLt 13 (of the CUDA Toolkit, or of PyTorch's
wheels), a CPU with AVX2, and of the C and C++ run-time
$("$root/benchmarks/gpu/libraries.sh" --versions "$bundle"/bin/* "$bundle"/lib/* | sed 's/^/  /')
README

mkdir -p "$(dirname "$archive")"
# Programs share most of their code: one dictionary over all of them.
tar -C "$work" --sort=name --owner=0 --group=0 --mtime=@0 -c cria-gpu | xz -T1 --lzma2=preset=2,dict=128MiB >"$archive"
bytes=$(stat -c %s "$archive")
echo "$archive: $((bytes / 1000)) kB of $(du -sb "$bundle" | cut -f1 | awk '{printf "%d", $1 / 1000}') kB"
if [ "$bytes" -gt $most_bytes ]; then
  rm "$archive"
  echo "error: $archive: more than $((most_bytes / 1000)) kB; leave programs out of it" >&2
  exit 1
fi

#!/usr/bin/env bash
# The shared libraries that programs need.
#
#   libraries.sh PROGRAM...              their files, but for those that every machine has
#   libraries.sh --missing PROGRAM...    what the loader does not find, or finds outside of ../lib of the program though
#                                        not every machine has it: none, or exit status 1
#   libraries.sh --versions FILE...      the newest symbol versions of glibc and libstdc++ that they ask for
set -euo pipefail

# Of glibc, of the compiler's run-time, of the NVIDIA driver.
everywhere='^(linux-vdso|ld-linux-x86-64|libc|libm|libdl|libpthread|librt|libresolv|libutil|libstdc\+\+|libgcc_s|libcuda|libnvidia-[a-z-]+)\.so'

case ${1:-} in
--missing)
  shift
  status=0
  for program in "$@"; do
    own=$(cd "$(dirname "$program")/../lib" && pwd)
    while read -r name _ place _; do
      [[ $name =~ / ]] && name=$(basename "$name")
      if [[ $name =~ $everywhere ]]; then continue; fi
      [[ $place == /* ]] && place=$(realpath --canonicalize-missing --no-symlinks "$place") || place=nowhere
      if [[ $place != "$own"/* ]]; then
        echo "error: $program needs $name, found: $place" >&2
        status=1
      fi
    done < <(ldd "$program")
  done
  exit $status
  ;;
--versions)
  shift
  for family in GLIBC GLIBCXX CXXABI; do
    objdump -T "$@" 2>/dev/null | grep -o "${family}_[0-9.]*" | sort -V | tail -n 1
  done
  ;;
*)
  ldd "$@" | awk '$2 == "=>" && $3 ~ /^\// { print $1, $3 }' | sort -u | while read -r name place; do
    [[ $name =~ $everywhere ]] || echo "$place"
  done
  ;;
esac

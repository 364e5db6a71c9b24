#!/usr/bin/env bash
# Every header compiles alone. Usage: headers_alone.sh BUILD_FOLDER COMPILER. Run by ctest.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=$1 compiler=$2
check() {
  printf '#include "%s"\n' "$1" |
    "$compiler" -std=c++17 -march=x86-64-v3 -Wall -Werror -fsyntax-only -I. -isystem "$build/proto/generated" \
      -isystem /usr/include/eigen3 -isystem /usr/include/torch/csrc/api/include -DGLOWWORM_VERSION='"0"' -x c++ - || { echo "$1 does not compile alone"; return 1; }
}
export -f check
export build compiler
# The trainer's headers, where there is no libtorch, cannot be compiled.
[[ -e /usr/include/torch ]] && without=/none/ || { without=model/train/; echo "no libtorch: $without is left out"; }
find model server client tests -name '*.h' -not -path "*$without*" | sort | xargs -P 2 -I{} bash -c 'check {}'

#!/usr/bin/env bash
# Every header compiles alone. One that its own source includes before all else has shown it in the build; the others
# are compiled here. Usage: headers_alone.sh BUILD_FOLDER COMPILER. Run by ctest.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=$1 compiler=$2
shown() {  # whether the source beside the header is built and begins with it
  local source
  for source in "${1%.h}.cc" "${1%.h}.cu"; do
    [[ -e $source ]] && [[ $(grep -m 1 '^#include' "$source") == "#include \"$1\"" ]] &&
      grep -q "/$source\"" "$build/compile_commands.json" && return
  done
  return 1
}
check() {
  printf '#include "%s"\n' "$1" |
    "$compiler" -std=c++17 -march=x86-64-v3 -Wall -Werror -fsyntax-only -I. -Itests/testing/fake_cuda/include -isystem "$build/proto/generated" \
      -isystem /usr/include/eigen3 -isystem /usr/include/torch/csrc/api/include -DGLOWWORM_VERSION='"0"' -x c++ - ||
    { echo "$1 does not compile alone"; return 1; }
}
export -f check
export build compiler
# The trainer's headers cannot be compiled where there is no libtorch.
[[ -e /usr/include/torch ]] && without=/none/ || { without=model/train/; echo "no libtorch: $without is left out"; }
alone=()
for header in $(find model server client tests -name '*.h' -not -path "$without*" | sort); do
  shown "$header" || alone+=("$header")
done
echo "${#alone[@]} headers are compiled here, the others in the build"
printf '%s\n' "${alone[@]}" | xargs -P 2 -I{} bash -c 'check {}'

#!/usr/bin/env bash
# Every C++ file is as clang-format would leave it. Run by ctest.
set -euo pipefail
cd "$(dirname "$0")/../.."
find model server client tests -name '*.h' -o -name '*.cc' -o -name '*.cu' | sort | xargs clang-format --dry-run -Werror

#!/usr/bin/env bash
# Lays out the CUDA toolkit of cuda.txt as its own installer does: bin, include, lib, nvvm. Needs Python's pip, which
# downloads what does not lie in WHEELS. Usage: deploy/image/cuda.sh FOLDER [WHEELS]; FOLDER must not exist. Run by the
# Dockerfile where CUDA=1. Tested by tests/deploy/cuda_image_test.py.
set -euo pipefail
folder=$1
options=()
[ -z "${2-}" ] || options=(--no-index --find-links "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m pip install --quiet --root-user-action=ignore --target "$work" --no-compile --no-deps \
  --only-binary=:all: --require-hashes ${options[@]+"${options[@]}"} -r "$(dirname "$0")/cuda.txt"
mv "$work/nvidia/cu13" "$folder"
mkdir "$folder/dist-info"
mv "$work"/*.dist-info "$folder/dist-info/"
# Wheels hold no symbolic links: the names that a linker looks for, and the folder that nvcc does.
for library in "$folder"/lib/*.so.*; do
  ln -s "${library##*/}" "${library%.so.*}.so"
done
ln -s lib "$folder/lib64"

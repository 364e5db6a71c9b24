#!/usr/bin/env bash
# Builds the Dockerfile without a container engine, by Debian's debootstrap and buildah. Prints the seconds of each
# step. Usage, as root: deploy/image/build.sh [--cuda] [BUILD_FOLDER]. Leaves the images `base` and `glowworm` (--cuda:
# `glowworm-cuda`, with CUDA=1) in BUILD_FOLDER/image, where deploy/image/buildah.sh finds them, in place of earlier
# ones. Tested by tests/deploy/image_test.py and, with --cuda, cuda_image_test.py.
#
# A base made before is used again for a day, the wheels of cuda.txt until it changes. ccache, where installed, is
# shared with the builder: it then finds what the main build has compiled already, as long as both folders are called
# build.
set -euo pipefail
cd "$(dirname "$0")/../.."
cuda=0 tag=glowworm
if [ "${1-}" = --cuda ]; then
  cuda=1 tag=glowworm-cuda
  shift
fi
build=${1:-build}
work=$build/image
buildah() { deploy/image/buildah.sh "$build" "$@"; }
# Each line of a step's log begins with the seconds since its start.
step() {
  local name=$1 start=$SECONDS
  shift
  "$@" 2>&1 | while IFS= read -r line; do printf '%4d %s\n' $((SECONDS - start)) "$line"; done >"$work/$name.log" ||
    { tail -n 40 "$work/$name.log" >&2; echo "$name failed" >&2; return 1; }
  printf '%s: %d s\n' "$name" $((SECONDS - start))
}
base() {
  rm -rf "$work/base" && deploy/image/base.sh "$work/base" &&
    tar -C "$work/base" --numeric-owner -cf "$work/base.tar.part" . && mv "$work/base.tar.part" "$work/base.tar" &&
    rm -rf "$work/base"
}
import() {
  local container
  container=$(buildah from scratch) && buildah add --quiet "$container" "$work/base.tar" / &&
    buildah config --cmd '["bash"]' "$container" && buildah commit --rm "$container" base
}
wheels() {  # downloaded out here, where pip is set up; cuda.sh in there checks their hashes again
  rm -rf "$work/wheels" && python3 -m venv "$work/venv" &&
    "$work/venv/bin/pip" download --quiet --no-deps --only-binary=:all: --require-hashes --dest "$work/wheels" \
      -r deploy/image/cuda.txt && cp deploy/image/cuda.txt "$work/wheels/"
}
image() {
  local options=() environment="" name
  if [ $cuda = 1 ]; then
    options+=(--volume "$(realpath "$work/wheels"):/media:ro" --build-arg WHEELS=/media --build-arg CUDA=1)
  fi
  if command -v ccache >/dev/null; then
    # What else ccache tells compilations apart by. Its size is for the owner of the cache to bound.
    environment="CCACHE_DIR=/mnt CCACHE_MAXSIZE=0 CCACHE_BASEDIR=$(ccache --get-config base_dir)"
    for name in LANG LC_ALL LC_CTYPE LC_MESSAGES CMAKE_BUILD_PARALLEL_LEVEL; do
      [ -z "${!name-}" ] || environment+=" $name=${!name}"
    done
    mkdir -p "$(ccache --get-config cache_dir)"
    options+=(--volume "$(ccache --get-config cache_dir):/mnt:rw" --build-arg EXTRA_PACKAGES=ccache
      --build-arg "BUILD_ENVIRONMENT=$environment" --build-arg "SOURCE=$PWD" --build-arg GLOWWORM_WERROR=ON)
  fi
  # --target: Debian's buildah does not find the stage that a variable names.
  buildah bud --isolation chroot --format docker --pull-never --build-arg BASE=localhost/base "${options[@]}" \
    --build-arg "REVISION=$(git rev-parse --verify HEAD 2>/dev/null || echo unknown)" --target "image-$cuda" \
    --tag "$tag" .
}

mkdir -p "$work"
rm -rf "$work/storage" "$work/run"  # what an earlier run left; vfs mounts nothing
find "$work" -maxdepth 1 -name base.tar -mtime +0 -delete
[ -e "$work/base.tar" ] || step base base
step import import
[ $cuda = 0 ] || cmp -s deploy/image/cuda.txt "$work/wheels/cuda.txt" || step wheels wheels
step image image
# When each stage began, in seconds.
grep -E '^ *[0-9]+ \[[0-9]/[0-9]\] (STEP .*(RUN|COPY)|COMMIT)' "$work/image.log" | cut -c1-100

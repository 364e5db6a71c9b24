#!/usr/bin/env bash
# buildah, with its storage below the build folder. Usage, as root: deploy/image/buildah.sh BUILD_FOLDER COMMAND...
set -euo pipefail
mkdir -p "$1/image"
work=$(realpath "$1")/image
shift
exec buildah --root "$work/storage" --runroot "$work/run" --storage-driver vfs "$@"

#!/usr/bin/env bash
# Makes a base image like debian:bookworm-slim from Debian's packages: where CI has no registry of images. The mirrors
# are those of this machine's apt. Usage, as root: deploy/image/base.sh FOLDER, which must not exist. Run by build.sh.
set -euo pipefail
folder=$1
# "https://... bookworm main" for each of Debian's own sources.
sources=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT) $(ORIGIN)' 'Created-By: Packages' |
  sed -n 's/ Debian$//p' | grep ' bookworm' | sort -u)
mirror=$(awk '$2 == "bookworm" { print $1; exit }' <<<"$sources")
[ -n "$mirror" ] || { echo "expected Debian 12 among apt's sources: run apt-get update" >&2; exit 1; }

debootstrap --variant=minbase bookworm "$folder" "$mirror"
sed 's/^/deb /' <<<"$sources" >"$folder/etc/apt/sources.list"
# As the slim image has it: no documentation, no translations, no fsync after each file.
cat >"$folder/etc/dpkg/dpkg.cfg.d/slim" <<'TXT'
force-unsafe-io
path-exclude /usr/share/doc/*
path-exclude /usr/share/info/*
path-exclude /usr/share/locale/*
path-exclude /usr/share/man/*
TXT
echo 'Acquire::Languages "none";' >"$folder/etc/apt/apt.conf.d/slim"
rm -rf "$folder"/usr/share/{doc,info,locale,man}/* "$folder"/var/lib/apt/lists/* \
  "$folder"/var/cache/apt/archives/*.deb "$folder"/var/log/*.log

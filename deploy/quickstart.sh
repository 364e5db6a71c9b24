#!/usr/bin/env bash
# From a fresh clone to answers: installs what is missing, builds, serves the bundled flows on free ports, asks for
# log-likelihoods, a ranking of anomalies, a round trip and samples, and stops. Usage: deploy/quickstart.sh [BUILD_FOLDER]
set -euo pipefail
export LC_ALL=C  # sort and awk read 0.5 as a number
cd "$(dirname "$0")/.."
build=${1:-build}
say() { printf '\n== %s\n' "$*"; }
show() { printf '$ %s\n' "${*//"$work/"/}"; "$@"; }

say "Packages"
deploy/install.sh deploy/packages.txt

say "Build (a few minutes the first time)"
if [ ! -f "$build/build.ninja" ]; then
  cmake -B "$build" -G Ninja -DGLOWWORM_BUILD_TESTS=OFF -DGLOWWORM_CUDA=OFF >"$build.configure.log" 2>&1 ||
    { cat "$build.configure.log"; exit 1; }
  mv "$build.configure.log" "$build/configure.log"
fi
cmake --build "$build" --target glowworm-server glowworm

say "Serve deploy/repository on free ports"
work=$(mktemp -d)
"$build/bin/glowworm-server" --listen=127.0.0.1:0 --metrics=127.0.0.1:0 --port_file="$work/ports" \
  --lame_duck_ms=0 >"$work/server.log" 2>&1 &
server=$!
stop() { kill "$server" 2>/dev/null && wait "$server" || true; rm -rf "$work"; }
trap stop EXIT
until [ -s "$work/ports" ]; do
  kill -0 "$server" 2>/dev/null || { cat "$work/server.log"; exit 1; }
  sleep 0.05
done
address=$(sed -n 1p "$work/ports")
export GLOWWORM_SERVER=$address
echo "Serving on $address, metrics on $(sed -n 2p "$work/ports")."
export PATH="$PWD/$build/bin:$PATH"

say "What is served"
show glowworm models

say "Log-likelihood, in nats, of eight digits and two anomalies (rows 8 and 9)"
show glowworm score --model=digits --input=deploy/demo/digits.npy

say "Rank held-out breast masses: the flow learned benign ones only, low log p means anomalous"
demo=deploy/demo/breast-cancer.csv  # 30 measurements, then the true class, which the flow does not see
cut -d, -f1-30 "$demo" >"$work/measurements.csv"
show glowworm score --model=breast-cancer --input="$work/measurements.csv" --output="$work/scores.csv"
paste -d, "$work/scores.csv" <(cut -d, -f31 "$demo" | tr -d '\r') | tail -n +2 | sort -t, -k2,2g >"$work/ranked.csv"
echo "The five most anomalous and the five most ordinary of $(wc -l <"$work/ranked.csv") rows:"
{ head -n 5 "$work/ranked.csv"; tail -n 5 "$work/ranked.csv"; } |
  awk -F, 'BEGIN { print "   row     log p  tail probability  true class" } { printf "%6d %9.1f %17.3f  %s\n", $1, $2, $3, $5 }'
# The share of pairs (malignant, benign) in which the malignant row has the lower log p.
awk -F, '$5 == "malignant" { m++ } $5 == "benign" { b++; below += m } END { printf "AUROC for malignant rows: %.3f\n", below / (m * b) }' \
  "$work/ranked.csv"

say "Encode digits to latents and decode them back"
show glowworm encode --model=digits --input=deploy/demo/digits.npy --output="$work/latents.npy"
show glowworm decode --model=digits --input="$work/latents.npy" --output="$work/decoded.csv"
echo "First pixels of row 0, decoded:"
head -n 1 "$work/decoded.csv" | cut -d, -f1-8

say "Draw 64 images with seed 42"
show glowworm sample --model=fashion --num=64 --seed=42 --temperature=0.7 --output="$work/samples.npy" \
  --png="$build/samples.png" --png_range=0:255
echo "$build/samples.png shows them."

say "Stop"
kill "$server"
wait "$server"
trap - EXIT
rm -rf "$work"
cat <<TXT
The server stopped cleanly. To keep one running:
  $build/bin/glowworm-server --listen=127.0.0.1:50051
  $build/bin/glowworm score --model=digits --input=deploy/demo/digits.npy
TXT

#!/usr/bin/env bash
# Measures everything anew and writes RESULTS.md and results.png: about 25 minutes, with nothing else running.
# Usage: tests/bench/run.sh [VENV], where setup.sh makes its virtual environment; by default build/bench-venv.
set -euo pipefail
cd "$(dirname "$0")/../.."
venv=${1:-build/bench-venv}
python=$venv/bin/python
flows=build/bench-flows
tests/bench/setup.sh "$venv"
cmake -B build -G Ninja >/dev/null
cmake --build build --target glowworm-server glowworm glowworm-bench glowworm-echo glowworm-in-process bfloat16_test
"$python" tests/bench/peers.py
tests/bench/service/service_bench.py --flow="$flows/tabular-glow/1/flow.safetensors:0.8" \
  --flow="$flows/rq-nsf/1/flow.safetensors:0.9" --flow="$flows/image-glow/1/flow.safetensors:0.9"
"$python" tests/bench/bfloat16.py
"$python" tests/bench/log_det.py
"$python" tests/bench/report.py

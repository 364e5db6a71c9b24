#!/usr/bin/env bash
# Makes what peers.py and train_results.py need: Debian's PyTorch on OpenBLAS and scikit-learn, and a virtual
# environment that adds nflows and normflows.
# Usage: tests/bench/setup.sh [VENV], by default build/bench-venv. Run as root, or have the Debian packages already.
set -euo pipefail
cd "$(dirname "$0")/../.."
venv=${1:-build/bench-venv}
deploy/install.sh tests/bench/packages.txt
[ -x "$venv/bin/python" ] || /usr/bin/python3 -m venv --system-site-packages "$venv"
# Their other requirements are Debian's (numpy, matplotlib, PyTorch) or for training only.
"$venv/bin/pip" install --quiet --no-deps nflows==0.14 normflows==1.7.3
"$venv/bin/python" -c 'import nflows.flows, normflows, torch; print("PyTorch", torch.__version__, "and both libraries")'

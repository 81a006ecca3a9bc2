#!/usr/bin/env bash
# Proves the GPU part in one call, on a machine with a GPU, Python 3.12, PyTorch and no network. Carry there this checkout
# and `.gpu-wheels/`, which `make gpu-wheels` fills. Prints a table; ends with 0 if every check passed. Five minutes at most.
#
#   PYTHON     the Python that has PyTorch (python3)
#   WHEELS     the folder of wheels (.gpu-wheels)
#   RESULTS    where the table is kept (benchmarks/results)
#   STAND_IN   1: no GPU here; try this script with a stand-in for NVIDIA's library (needs gcc), which proves nothing of GPUs
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3} WHEELS=${WHEELS:-.gpu-wheels}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

compgen -G "$WHEELS/*.whl" >/dev/null || { echo "There are no wheels in $WHEELS: run 'make gpu-wheels' first, and carry them along." >&2; exit 2; }
"$PYTHON" -c 'import torch' || { echo "$PYTHON has no PyTorch: set PYTHON." >&2; exit 2; }

# Not a virtual environment: made from one, it would not see the packages of that one.
site=$scratch/site-packages
"$PYTHON" -m pip install --quiet --disable-pip-version-check --no-index --no-deps --no-compile --no-cache-dir --target "$site" "$WHEELS"/*.whl
code=$scratch/code
mkdir "$code"
cp -rL src/stepwell "$code/"

unset "${!PREFECT_@}" "${!STEPWELL_@}"
export PYTHONPATH=$code:$site PYTHONUNBUFFERED=1
export STEPWELL_HOME=$scratch/home PREFECT_HOME=$scratch/prefect PREFECT_LOGGING_LEVEL=ERROR
export DO_NOT_TRACK=1 PREFECT_SERVER_ANALYTICS_ENABLED=false
mkdir "$STEPWELL_HOME"

if [ -n "${STAND_IN:-}" ]; then
    export STAND_IN FAKE_GPUS=${FAKE_GPUS:-2} LD_LIBRARY_PATH=$scratch/nvml${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
    mkdir "$scratch/nvml"
    gcc -shared -fPIC -o "$scratch/nvml/libnvidia-ml.so.1" tests/fixtures/fake_nvml/nvml.c
fi
"$PYTHON" benchmarks/gpu_check.py 2>"$scratch/noise" || { code=$?; tail -n 60 "$scratch/noise" >&2; exit "$code"; }

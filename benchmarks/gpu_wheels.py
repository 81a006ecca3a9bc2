"""The wheels that `gpu_check.sh` carries to a machine that has a GPU and no network: `make gpu-wheels`.

pip's resolver says what Stepwell and Dask-CUDA need on Python 3.12, x86-64; what a machine for GPUs has anyway is left out.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".gpu-wheels"
MOST_BYTES = 56_000_000
HAS_ANYWAY = {
    "numpy": "the machine has the five of them",
    "pandas": "",
    "pillow": "",
    "torch": "",
    "uvloop": "",
    "bokeh": "draws Dask's dashboard, which nobody looks at there; with it go the next three",
    "contourpy": "",
    "narwhals": "",
    "xyzservices": "",
    "cuda-toolkit": "PyTorch brings CUDA's libraries and their bindings",
    "cuda-bindings": "",
}
"""What is left out, and why."""
MORE = ["dask-cuda>=26.4"]
"""Without its extras, which would bring CUDA's compiler."""
UNPINNED = ("dask", "distributed", *HAS_ANYWAY)
"""What `constraints.txt` pins to releases that Dask-CUDA or the machine does not have."""
_GLIBC = [f"manylinux_2_{minor}_x86_64" for minor in range(39, 16, -1)]
TARGET = [
    *("--only-binary=:all:", "--python-version=3.12", "--implementation=cp", "--abi=cp312", "--abi=abi3", "--abi=none"),
    *(f"--platform={name}" for name in (*_GLIBC, "manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64")),
]


def main() -> None:
    """Fill the folder with the wheels and no others; end with 1 if they are too large to be carried."""
    python = _python()
    with tempfile.TemporaryDirectory() as scratch:
        wanted = _resolved(python, Path(scratch))
        shutil.rmtree(FOLDER, ignore_errors=True)
        _pip(python, "download", "--no-deps", f"--dest={FOLDER}", *TARGET, *wanted)
    total = sum(wheel.stat().st_size for wheel in FOLDER.glob("*.whl"))
    print(f"{len(wanted)} wheels, {total / 1e6:.1f} MB in {FOLDER.relative_to(ROOT)}")
    if total > MOST_BYTES:
        sys.exit(f"They are larger than {MOST_BYTES / 1e6:.0f} MB: leave out more")


def _python() -> str:
    """Python 3.12, if it is installed: pip reads conditions such as `python_version < "3.13"` with its own eyes."""
    for name in ("python3.12", sys.executable):
        with tempfile.TemporaryFile() as silence:
            if shutil.which(name) and not subprocess.call(
                [name, "-m", "pip", "--version"], stdout=silence, stderr=silence
            ):
                return name
    return sys.executable


def _resolved(python: str, scratch: Path) -> list[str]:
    needs = [*tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"], *MORE]
    pins = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line.split("==")[0] not in UNPINNED]
    (scratch / "pins").write_text("\n".join(pins))
    report = scratch / "report.json"
    options = ["--dry-run", "--ignore-installed", f"--report={report}", f"--target={scratch}", f"-c{scratch / 'pins'}"]
    _pip(python, "install", *options, *TARGET, *needs)
    found = [part["metadata"] for part in json.loads(report.read_text())["install"]]
    names = {part["name"].lower().replace("_", "-"): part["version"] for part in found}
    carried = {n: v for n, v in names.items() if n not in HAS_ANYWAY and not (n.startswith("nvidia-") and "-cu" in n)}
    return [f"{name}=={version}" for name, version in sorted(carried.items())]


def _pip(python: str, *words: str) -> None:
    subprocess.run([python, "-m", "pip", *words[:1], "--quiet", "--disable-pip-version-check", *words[1:]], check=True)


if __name__ == "__main__":
    main()

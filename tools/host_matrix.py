"""``python -m tools.host_matrix``: the pack on every ComfyUI and with every library version it is tested with.

Trees come into the cache folder as the pinned one does. For each: the names the pack uses, then tests that need no
weights, in the environment of ``betwixt.py test``. Library versions other than the installed ones are laid over it, for
the pinned ComfyUI. Interpreters that are found read all sources and run ``doctor --host``; the tests need their own
environment (``PYTHON betwixt.py test``).

    --hosts VERSION...     only these ComfyUI versions; "floor" is the oldest
    --all                  the whole node tests instead of the quick ones
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from betwixt.launcher.folders import cache_folder
from betwixt.launcher.host_names import missing_names
from betwixt.launcher.host_tree import PINNED, RELEASES, Release, fetch_host, tree_version
from betwixt.launcher.pip import Pip

from support.bootstrap import ROOT

QUICK = (
    "tests/nodes/test_extension.py",
    "tests/nodes/test_every_node.py",
    "tests/nodes/fcvg/test_conditions.py",
    "tests/nodes/fcvg/test_svd_model.py",
    "tests/nodes/tooncrafter/test_conditioning.py",
    "tests/nodes/flow",
)
ALL = ("tests/nodes",)
LIBRARIES = ("kornia==0.7.1", "kornia", "numpy<2.3", "opencv-python-headless<4.12", "opencv-python-headless>=5")
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS", "NUMBA")}


def tree_of(release: Release, pip: Pip) -> Path:
    """The release's tree in the cache folder, fetched where it is missing."""
    path = cache_folder() / f"ComfyUI-{release.version}"
    return path if tree_version(path) == release.version else fetch_host(pip, release).path


def tested(tree: Path, tests: Sequence[str], overlay: str = "") -> str:
    """The tests' last line of words, and how long they took."""
    environment = {**os.environ, **ONE_THREAD, "COMFYUI_PATH": str(tree), "PYTHONPATH": overlay}
    began = time.monotonic()
    command = [sys.executable, "-m", "pytest", "-q", *tests]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    words = [line for line in done.stdout.splitlines() if line.strip()] or ["no output"]
    failed = "".join(f"\n    {line}" for line in words if line.startswith(("FAILED", "ERROR")))
    verdict = "ok" if done.returncode == 0 else "FAIL"
    return f"{verdict}  {words[-1].strip('= ')} ({time.monotonic() - began:.0f} s){failed}"


def with_library(specifier: str, tree: Path, tests: Sequence[str]) -> str:
    """The tests with another version of a library in front of the installed one."""
    with tempfile.TemporaryDirectory(prefix="betwixt_") as folder:
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder, specifier]
        if subprocess.run(install, capture_output=True, check=False).returncode:
            return "not obtainable"
        return tested(tree, tests, folder)


def with_python(version: str, tree: Path) -> str:
    """Whether an interpreter reads all sources and runs the launcher."""
    python = shutil.which(f"python{version}")
    if python is None:
        return "not installed here"
    script = (
        "import ast, pathlib\n"
        "folders = ['common', 'fcvg_core', 'rerender_core', 'tooncrafter_core', 'nodes', 'launcher', 'demo']\n"
        "[ast.parse(p.read_text('utf-8')) for f in folders for p in pathlib.Path(f).rglob('*.py')]\n"
    )
    for command in (["-c", script], ["betwixt.py", "doctor", "--host", str(tree)]):
        done = subprocess.run([python, *command], cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            return f"FAIL  {(done.stderr or done.stdout).strip().splitlines()[-1]}"
    return "ok"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", nargs="+", metavar="VERSION")
    parser.add_argument("--all", action="store_true")
    given = parser.parse_args()
    tests, rows = ALL if given.all else QUICK, []
    wanted = [RELEASES[0].version if name == "floor" else name for name in given.hosts or ()]
    with tempfile.TemporaryDirectory(prefix="betwixt_") as scratch:
        pip = Pip(sys.executable, cache_folder(), Path(scratch) / "pip.log")
        trees = {release: tree_of(release, pip) for release in RELEASES if not wanted or release.version in wanted}
    for release, tree in trees.items():
        missing, count = missing_names(tree)
        names = f"{count} names" + (f", missing: {', '.join(map(str, missing))}" if missing else "")
        rows.append((f"ComfyUI {release.version}", f"{'FAIL' if missing else 'ok'}  {names}"))
        rows.append((f"ComfyUI {release.version}", tested(tree, tests)))
        print(*(f"{name:<34}{result}" for name, result in rows[-2:]), sep="\n", flush=True)
    if not wanted:
        for specifier in LIBRARIES:
            rows.append((specifier, with_library(specifier, trees[PINNED], tests)))
            print(f"{rows[-1][0]:<34}{rows[-1][1]}", flush=True)
        for version in PYTHONS:
            rows.append((f"Python {version}, sources", with_python(version, trees[PINNED])))
            print(f"{rows[-1][0]:<34}{rows[-1][1]}", flush=True)
    return int(any("FAIL" in result for _, result in rows))


if __name__ == "__main__":
    raise SystemExit(main())

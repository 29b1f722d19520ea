"""``python -m tools.host_matrix``: the pack on every ComfyUI and with every library version it is tested with.

Trees come into the cache folder as the pinned one does. For each: the names the pack uses, then tests that need no
weights, in the environment of ``betwixt.py test``. Library versions other than the installed ones are laid over it, for
the pinned ComfyUI. Every interpreter that is found, also among pyenv's, reads all sources, runs ``doctor --host`` and
the tests of what needs no PyTorch; the tests of nodes run in this one, with others they need an environment of their
own (``PYTHON betwixt.py test``).

    --hosts VERSION...          only these ComfyUI versions; "floor" is the oldest
    --libraries SPECIFIERS...   only these versions, e.g. "numpy==2.0.2"
    --only libraries|pythons    only this part of the matrix
    --all                       the whole node tests instead of the quick ones
    --store                     write the rows to benchmarks/results/host_matrix.json
"""

import argparse
import datetime
import os
import platform
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
from betwixt.launcher.torch_build import CPU, WHEEL_INDEX

from support.benchmark_results import store_table, stored_tables
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
LIBRARIES = (
    "kornia==0.7.1",
    "kornia",
    "numpy==1.26.4",
    "numpy",
    "opencv-python-headless==4.9.0.80 numpy==1.26.4",  # which that OpenCV was built for
    "opencv-python-headless>=5",
)
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
WITHOUT_TORCH = (
    "tests/launcher/test_graph.py",
    "tests/launcher/test_strangers.py",
    "tests/launcher/test_host_tree.py",
    "tests/launcher/test_pip.py",
    "tests/core/common/test_number_lists.py",
    "tests/core/tweening/test_timing.py",
    "tests/core/tweening/test_arcs.py",
    "tests/core/tweening/test_drawn_paths.py",
    "tests/core/tweening/test_line_interpolation.py",
    "tests/core/poses/test_pose_dialects.py",
    "tests/core/poses/test_pose_drawing.py",
)
PACKAGES = ("numpy", "opencv-python-headless<5", "scipy", "psutil", "pytest")  # what these tests import
ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS", "NUMBA")}


def tree_of(release: Release, pip: Pip) -> Path:
    """The release's tree in the cache folder, fetched where it is missing."""
    path = cache_folder() / f"ComfyUI-{release.version}"
    return path if tree_version(path) == release.version else fetch_host(pip, release).path


def tested(tree: Path, tests: Sequence[str], overlay: str = "") -> str:
    """The tests' last line of words, and how long they took."""
    environment = {**os.environ, **ONE_THREAD, "COMFYUI_PATH": str(tree), "PYTHONPATH": overlay}
    began = time.monotonic()
    return verdict_of([sys.executable, "-m", "pytest", "-q", *tests], environment, began)


def verdict_of(command: Sequence[str], environment: dict[str, str], began: float) -> str:
    """What pytest says of a run."""
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    words = [line for line in done.stdout.splitlines() if line.strip()] or ["no output"]
    failed = "".join(f"\n    {line}" for line in words if line.startswith(("FAILED", "ERROR")))
    verdict = "ok" if done.returncode == 0 else "FAIL"
    return f"{verdict}  {words[-1].strip('= ')} ({time.monotonic() - began:.0f} s){failed}"


def with_libraries(specifiers: str, tree: Path, tests: Sequence[str]) -> str:
    """The tests with other versions of libraries in front of the installed ones."""
    with tempfile.TemporaryDirectory(prefix="betwixt_") as folder:
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder]
        if subprocess.run([*install, *specifiers.split()], capture_output=True, check=False).returncode:
            return "not obtainable"
        found = ", ".join(path.stem.removesuffix(".dist-info") for path in sorted(Path(folder).glob("*.dist-info")))
        return f"{tested(tree, tests, folder)} with {found}"


def interpreter(version: str) -> str | None:
    """A Python of that version which starts; pyenv's are looked for where its own choice is another one."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [shutil.which(f"python{version}"), *sorted(pyenv.glob(f"{version}.*/bin/python{version}"))]
    for python in filter(None, candidates):
        if subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0:
            return str(python)
    return None


def without_torch(version: str) -> str:
    """The tests that need no PyTorch, in a new environment."""
    python = interpreter(version)
    if python is None:
        return "not installed here"
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="betwixt_") as folder:
        made = f"{folder}/bin/python" if os.name != "nt" else f"{folder}/Scripts/python.exe"
        for command in ([python, "-m", "venv", folder], [made, "-m", "pip", "install", "--quiet", *PACKAGES]):
            if subprocess.run(command, capture_output=True, check=False).returncode:
                return "no environment could be made"
        command = [made, "-m", "pytest", "-q", "--noconftest", *WITHOUT_TORCH]
        return verdict_of(command, {**os.environ, **ONE_THREAD}, began)


def with_torch(version: str, tree: Path, tests: Sequence[str]) -> str:
    """The tests of nodes, where this very Python is that version; for others, why they were not run."""
    if platform.python_version().startswith(f"{version}."):
        return tested(tree, tests)
    python = interpreter(version)
    if python is None:
        return "not run: not installed here"
    with tempfile.TemporaryDirectory(prefix="betwixt_") as folder:
        wanted = [f"torch=={CPU['torch']}+cpu", "--no-deps", "--dest", folder]
        source = ["--index-url", f"{WHEEL_INDEX}/cpu", "--timeout", "20", "--retries", "1"]
        done = subprocess.run([python, "-m", "pip", "download", "--quiet", *wanted, *source], capture_output=True)
    if done.returncode:
        return "not run: PyTorch's CPU build for it cannot be had here, and its CUDA build takes 7 GB"
    return f"not run: needs an environment of its own, {Path(python).name} betwixt.py test"


def with_python(version: str, tree: Path) -> str:
    """Whether an interpreter reads all sources and runs the launcher."""
    python = interpreter(version)
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


def store(rows: Sequence[tuple[str, str]], part: str) -> None:
    """Put the rows of a part of the matrix beside the stored ones, in place of older ones of their names."""
    stored = stored_tables("host_matrix").get(part, {"rows": []})["rows"]
    rows = [row for row in stored if row[0] not in dict(rows)] + list(rows)
    table = {
        "title": f"Tests with other versions ({part})",
        "columns": ["what", "result"],
        "rows": [list(row) for row in rows],
        "command": " ".join(["python -m tools.host_matrix", *sys.argv[1:]]),
        "taken": datetime.date.today().isoformat(),
        "versions": {"python": platform.python_version(), "comfyui": PINNED.version},
    }
    store_table("host_matrix", part, table, "tools.host_matrix")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", nargs="+", metavar="VERSION")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--libraries", nargs="+", metavar="SPECIFIERS")
    parser.add_argument("--only", choices=("libraries", "pythons"))
    parser.add_argument("--store", action="store_true")
    given = parser.parse_args()
    tests, rows = ALL if given.all else QUICK, []
    wanted = [RELEASES[0].version if name == "floor" else name for name in given.hosts or ()]
    wanted += [PINNED.version] if given.only else []
    with tempfile.TemporaryDirectory(prefix="betwixt_") as scratch:
        pip = Pip(sys.executable, cache_folder(), Path(scratch) / "pip.log")
        trees = {release: tree_of(release, pip) for release in RELEASES if not wanted or release.version in wanted}
    for release, tree in trees.items() if not given.only else ():
        missing, count = missing_names(tree)
        names = f"{count} names" + (f", missing: {', '.join(map(str, missing))}" if missing else "")
        rows.append((f"ComfyUI {release.version}", f"{'FAIL' if missing else 'ok'}  {names}"))
        rows.append((f"ComfyUI {release.version}", tested(tree, tests)))
        print(*(f"{name:<34}{result}" for name, result in rows[-2:]), sep="\n", flush=True)
    if given.only == "libraries" or not wanted:
        for specifiers in given.libraries or LIBRARIES:
            rows.append((specifiers, with_libraries(specifiers, trees[PINNED], tests)))
            print(f"{rows[-1][0]:<34}{rows[-1][1]}", flush=True)
    if given.only == "pythons" or not wanted:
        for version in PYTHONS:
            rows.append((f"Python {version}, sources", with_python(version, trees[PINNED])))
            rows.append((f"Python {version}, what needs no PyTorch", without_torch(version)))
            rows.append((f"Python {version}, nodes", with_torch(version, trees[PINNED], tests)))
            print(*(f"{name:<34}{result}" for name, result in rows[-3:]), sep="\n", flush=True)
    if given.store:
        store(rows, given.only or ("hosts" if wanted else "all"))
    return int(any("FAIL" in result for _, result in rows))


if __name__ == "__main__":
    raise SystemExit(main())

"""``python -m tools.host_matrix``: the pack on every ComfyUI and with every library and Python it is tested with.

Trees come into the cache folder as the pinned one does. For each: the names the pack uses, tests of nodes, and the
workflows that need no weights, queued on a server of it. Library versions other than the installed ones are laid over
the environment of ``betwixt.py test``, for the pinned ComfyUI. Every interpreter that is found, also among pyenv's,
reads all sources, runs ``doctor --host`` and the tests of what needs no PyTorch; for the tests of nodes the launcher
sets up an environment of its own in a copy of the last commit.

    --only WORDS                only the rows with these words in their name or part: hosts, libraries, pythons
    --hosts VERSION...          only names, nodes and three workflows on these ComfyUI versions; "floor" is the oldest
    --libraries SPECIFIERS...   only these versions, e.g. "numpy==2.0.2"
    --all                       all tests of nodes on the oldest and the newest ComfyUI instead of the quick ones
    --store                     write each row to benchmarks/results/host_matrix.json as soon as it is known
    --missing                   leave out the rows that are stored; goes on where a run was interrupted
    --environments FOLDER       make and keep the other Pythons' environments here (4 to 9 GB each)
"""

import argparse
import datetime
import io
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from betwixt.launcher.folders import cache_folder
from betwixt.launcher.host_names import missing_names
from betwixt.launcher.host_tree import PINNED, RELEASES, Release, fetch_host, tree_version
from betwixt.launcher.pip import Pip

from support.benchmark_results import store_table, stored_tables
from support.bootstrap import ROOT
from support.workflow_files import WEIGHT_FREE

QUICK = (
    "tests/nodes/test_extension.py",
    "tests/nodes/test_every_node.py",
    "tests/nodes/fcvg/test_conditions.py",
    "tests/nodes/fcvg/test_svd_model.py",
    "tests/nodes/tooncrafter/test_conditioning.py",
    "tests/nodes/flow",
)
ALL = ("tests/nodes",)
RUNS = "tests/server/test_workflows.py::test_workflow_runs_makes_whole_videos_and_is_cached_the_second_time"
GRAPHS = tuple(f"{RUNS}[{name}]" for name in WEIGHT_FREE)
QUICK_GRAPHS = tuple(  # that take seconds: pictures, poses and curves, flow, and what is kept on the disk
    f"{RUNS}[{name}]"
    for name in ("Estimate flow", "FCVG conditions from several key frames", "Keep and resume a segment")
)
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
COLUMNS = ["what", "result", "taken"]
SET_UP = "import betwixt; from betwixt.launcher.setup import prepare; prepare(tests=True)"


@dataclass(frozen=True)
class Row:
    """One line of the matrix: ``measure`` tells the result."""

    part: str
    name: str
    measure: Callable[[], str]


def tree_of(release: Release, pip: Pip) -> Path:
    """The release's tree in the cache folder, fetched where it is missing."""
    path = cache_folder() / f"ComfyUI-{release.version}"
    return path if tree_version(path) == release.version else fetch_host(pip, release).path


def tested(tree: Path, tests: Sequence[str], overlay: str = "") -> str:
    """The tests' last line of words, and how long they took."""
    environment = {**os.environ, **ONE_THREAD, "COMFYUI_PATH": str(tree), "PYTHONPATH": overlay}
    began = time.monotonic()
    return verdict_of([sys.executable, "-m", "pytest", "-q", *tests], environment, began)


def verdict_of(command: Sequence[str], environment: dict[str, str], began: float, checkout: Path = ROOT) -> str:
    """What pytest says of a run."""
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
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


def with_torch(version: str, tree: Path, tests: Sequence[str], environments: Path) -> str:
    """The tests of nodes: here where this very Python is that version, else in an environment of its own."""
    if platform.python_version().startswith(f"{version}."):
        return tested(tree, tests)
    python = interpreter(version)
    if python is None:
        return "not run: not installed here"
    checkout = copied_commit(environments / f"python-{version}")
    environment = {**os.environ, **ONE_THREAD, "COMFYUI_PATH": str(tree), "PYTHONPATH": ""}
    done = subprocess.run([python, "-c", SET_UP], cwd=checkout, env=environment, capture_output=True, text=True)
    if done.returncode:
        return f"not run: {(done.stdout + done.stderr).strip().splitlines()[-1]}"
    made = next((checkout / ".venv").glob("[bS]*/python*"))
    asked = subprocess.run([made, "-c", "import torch; print(torch.__version__)"], capture_output=True, text=True)
    command = [str(made), "-m", "pytest", "-q", *tests]
    return f"{verdict_of(command, environment, time.monotonic(), checkout)} with torch-{asked.stdout.strip()}"


def copied_commit(folder: Path) -> Path:
    """The files of the last commit in a folder, whose environment stays."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.name != ".venv":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    packed = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder)
    return folder


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


def names_in(tree: Path) -> str:
    """Whether a ComfyUI has every name that the pack uses."""
    missing, count = missing_names(tree)
    return f"{'FAIL' if missing else 'ok'}  {count} names" + (
        f", missing: {', '.join(map(str, missing))}" * bool(missing)
    )


def rows_of(
    trees: dict[Release, Path],
    libraries: Sequence[str],
    every: bool,
    environments: Path,
    graphs: Sequence[str] = GRAPHS,
) -> Iterator[Row]:
    """The whole matrix on some trees, in its order; ``every`` test of nodes on the oldest and the newest."""
    for release, tree in trees.items():
        name, whole = f"ComfyUI {release.version}", every and release in (RELEASES[0], PINNED)
        yield Row("hosts", f"{name}, names", partial(names_in, tree))
        yield Row("hosts", f"{name}, nodes", partial(tested, tree, ALL if whole else QUICK))
        yield Row("hosts", f"{name}, workflows without models", partial(tested, tree, graphs))
    if PINNED not in trees:
        return
    for specifiers in libraries:
        yield Row("libraries", specifiers, partial(with_libraries, specifiers, trees[PINNED], QUICK))
    for version in PYTHONS:
        name = f"Python {version}"
        yield Row("pythons", f"{name}, sources", partial(with_python, version, trees[PINNED]))
        yield Row("pythons", f"{name}, what needs no PyTorch", partial(without_torch, version))
        yield Row("pythons", f"{name}, nodes", partial(with_torch, version, trees[PINNED], QUICK, environments))


def stored_results(part: str) -> dict[str, list]:
    """The stored rows of a part by name."""
    table = stored_tables("host_matrix").get(part, {"taken": "", "rows": []})
    return {row[0]: [*row, table["taken"]][: len(COLUMNS)] for row in table["rows"]}


def store(row: Row, result: str, order: Sequence[str], every: bool) -> None:
    """Put a row among the stored ones of its part, which are kept in the matrix's order; those of other names go."""
    today = datetime.date.today().isoformat()
    known = {**stored_results(row.part), row.name: [row.name, result, today]}
    table = {
        "title": f"Tests with other versions ({row.part})",
        "columns": COLUMNS,
        "rows": [known[name] for name in order if name in known],
        "command": "python -m tools.host_matrix" + " --all" * every + " --store",
        "taken": today,
        "versions": {"python": platform.python_version(), "comfyui": PINNED.version},
    }
    store_table("host_matrix", row.part, table, "tools.host_matrix")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="WORDS", default="")
    parser.add_argument("--hosts", nargs="+", metavar="VERSION")
    parser.add_argument("--libraries", nargs="+", metavar="SPECIFIERS")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--store", action="store_true")
    parser.add_argument("--missing", action="store_true")
    parser.add_argument("--environments", type=Path, metavar="FOLDER")
    given = parser.parse_args()
    if given.store and (given.hosts or given.libraries):
        parser.error("--store goes with the whole matrix or with parts of it (--only)")
    wanted = [RELEASES[0].version if name == "floor" else name for name in given.hosts or ()]
    failed = False
    with tempfile.TemporaryDirectory(prefix="betwixt_") as scratch:
        pip = Pip(sys.executable, cache_folder(), Path(scratch) / "pip.log")
        needed = [PINNED] if given.libraries else [each for each in RELEASES if each.version in wanted or not wanted]
        trees = {each: tree_of(each, pip) for each in needed}
        environments = given.environments or Path(scratch)
        graphs = QUICK_GRAPHS if given.hosts else GRAPHS  # in the checks of a checkout
        rows = list(rows_of(trees, given.libraries or LIBRARIES, given.all, environments, graphs))
        if given.hosts:
            rows = [row for row in rows if row.part == "hosts"]
        if given.libraries:
            rows = [row for row in rows if row.part == "libraries"]
        for row in rows:
            if given.only not in f"{row.part}: {row.name}" or (given.missing and row.name in stored_results(row.part)):
                continue
            result = row.measure()
            print(f"{row.name:<42}{result}", flush=True)
            failed |= "FAIL" in result
            if given.store:
                store(row, result, [other.name for other in rows if other.part == row.part], given.all)
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())

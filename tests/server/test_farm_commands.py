"""Farms run by their commands, with real servers: kills in the middle, bytes of the result, what is left behind."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
import pytest
from betwixt.launcher.client import Client
from betwixt.launcher.farm.folder import Folder
from betwixt.launcher.farm.manifests import finished_units, manifest_of
from betwixt.launcher.farm.plan import read_plan
from betwixt.launcher.farm.run import Driver
from betwixt.launcher.farm.servers import SCRATCH, farm_server
from betwixt.launcher.host_tree import find_host
from betwixt.launcher.run import run_graph

from support.farm_engines import InlineRay
from support.farm_runs import assert_same_video, farm, start, write_gap_workflow

pytestmark = [pytest.mark.server, pytest.mark.long]

GAPS = 8


@pytest.fixture(scope="module")
def planned(tmp_path_factory) -> Path:
    """A farm's folder with a plan; tests work on copies."""
    place = tmp_path_factory.mktemp("planned")
    said = farm("plan", write_gap_workflow(place, GAPS, 25, 160), place / "out", "--input", place / "keys.png")
    assert f"Planned {GAPS} units" in said
    return place / "out"


@pytest.fixture
def out(planned, tmp_path) -> Path:
    return shutil.copytree(planned, tmp_path / "out")


@pytest.fixture(scope="module")
def alone(planned, tmp_path_factory) -> dict[str, bytes]:
    """The files of the whole workflow, run at once on a server like those of a farm: name -> contents."""
    place, folder = tmp_path_factory.mktemp("alone"), Folder(planned)
    with farm_server(folder, find_host(), place, place / "log", 1) as server, Client(server.url) as client:
        run_graph(client, read_plan(folder).graph, place / "files")
    return contents(place / "files")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def assert_same_files(joined: dict[str, bytes], alone: dict[str, bytes]) -> None:
    """Pictures to the byte; videos as far as their encoder repeats itself."""
    assert joined.keys() == alone.keys() and {Path(name).suffix for name in alone} == {".png", ".mp4"}
    for name, expected in alone.items():
        if name.endswith(".mp4"):
            assert_same_video(joined[name], expected)
        else:
            assert joined[name] == expected, name


def manifests(out: Path) -> dict[str, tuple[int, int]]:
    """Name -> (inode, time) of the manifests: another one was made again."""
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in (out / "units").glob("*.json")}


def wait_for(out: Path, count: int, process: subprocess.Popen) -> dict[str, tuple[int, int]]:
    """The manifests as soon as there are so many."""
    deadline = time.monotonic() + 600
    while len(found := manifests(out)) < count:
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.01)
    return found


def family(process: subprocess.Popen | None = None) -> list[psutil.Process]:
    """The processes that a process, or this one, has started."""
    return psutil.Process(process and process.pid).children(recursive=True)


def threads() -> list[str]:
    return sorted(thread.name for thread in threading.enumerate())


def called(processes: list[psutil.Process], text: str) -> psutil.Process:
    """The process whose command line begins with, or names, a text."""
    for process in processes:
        with contextlib.suppress(psutil.Error):
            if any(text in part for part in process.cmdline()):
                return process
    raise AssertionError(f"no {text}")


def addresses(processes: list[psutil.Process]) -> set[str]:
    """Where they listen."""
    found = set()
    for process in processes:
        with contextlib.suppress(psutil.Error):
            listening = [s for s in process.net_connections("inet") if s.status == psutil.CONN_LISTEN]
            found |= {socket.laddr.ip.removeprefix("::ffff:") for socket in listening}
    return found


def left_behind() -> set[str]:
    """Temporary folders of farms, and of their Ray."""
    folders = {tempfile.gettempdir(), "/tmp"}
    return {
        path.name
        for folder in folders
        for beginning in (SCRATCH, "bxr-")
        for path in Path(folder).glob(f"{beginning}*")
    }


def test_a_server_a_worker_and_the_driver_are_killed(out, alone):
    """Nothing is lost, 0 finished units are made again, the result is the single run's to the byte, nothing stays."""
    before = left_behind()
    driver = start("run", out, "--workers", "1", "--threads", "1")
    safe = [wait_for(out, 1, driver)]
    processes = family(driver)
    assert addresses(processes) == {"127.0.0.1"}
    called(processes, str(find_host() / "main.py")).send_signal(signal.SIGKILL)
    safe.append(wait_for(out, 3, driver))
    called(family(driver), "ray::Worker").send_signal(signal.SIGKILL)
    safe.append(wait_for(out, 5, driver))
    processes = family(driver)
    os.kill(driver.pid, signal.SIGKILL)
    said, _ = driver.communicate()
    assert "lost its server while it made unit" in said and "worker 2 was lost" in said
    assert psutil.wait_procs(processes, timeout=120)[1] == []
    safe.append(manifests(out))
    assert 5 <= len(safe[-1]) < GAPS

    driver = start("run", out, "--workers", "1", "--threads", "1")
    processes = []
    while driver.poll() is None:
        with contextlib.suppress(psutil.Error):
            processes += [process for process in family(driver) if process not in processes]
        time.sleep(0.3)
    said, _ = driver.communicate()
    assert driver.returncode == 0, said
    assert f"Made {GAPS - len(safe[-1])} units" in said
    now = manifests(out)
    assert len(now) == GAPS and all(now[name] == state for earlier in safe for name, state in earlier.items())
    assert psutil.wait_procs(processes, timeout=30)[1] == []

    assert "1 of 8" not in farm("status", out)
    farm("join", out, "--threads", "1")
    assert_same_files(contents(out / "output"), alone)
    assert left_behind() - before == set() and not list(out.rglob("*.tmp"))


def test_a_unit_that_fills_the_card_goes_to_a_larger_one(out, capsys):
    """The host's own error, from a node of a real server; afterwards no server, thread or file of theirs is left."""
    folder, before = Folder(out), (threads(), family(), left_behind())
    value = json.loads(folder.plan.read_text())
    value["graph"]["8"] = {"class_type": "RequireCard", "inputs": {"images": ["1", 0], "gigabytes": 12.0}}
    value["graph"]["2"]["inputs"]["image"] = ["8", 0]
    value["units"] = value["units"][:2]
    folder.plan.write_text(json.dumps(value))
    plan, host = read_plan(folder), find_host()
    options = {"host": str(host), "base": str(out), "python": sys.executable, "threads": 1, "cards": [8.0, 24.0]}
    Driver(InlineRay(), folder, plan, 2, 0, False, options, "support.farm_engines:CardEngine").run()
    assert "ran out of memory on" in capsys.readouterr().out
    done, faults = finished_units(plan, folder)
    assert not faults and [manifest_of(folder, unit)["memory"] for unit in done] == [24.0, 24.0]
    assert (threads(), family(), left_behind()) == before
    assert not list(out.rglob("*.tmp")) and not [path for path in out.glob(".*-*") if path.is_dir()]


def test_the_exported_bundle_runs(out, alone):
    """With the command line tool of Open Job Description: every unit and the join, to the bytes of the single run."""
    openjd = Path(sys.executable).with_name("openjd")
    if not openjd.exists():
        pytest.skip("openjd-cli is not installed")
    value = json.loads(Folder(out).plan.read_text())
    farm("export", out, "--to", "openjd")
    run = subprocess.run([openjd, "run", out / "template.json"], capture_output=True, text=True)
    assert run.returncode == 0 and "Session ended successfully" in run.stdout, run.stdout[-3000:]
    assert_same_files(contents(out / "output"), alone)
    assert len(value["units"]) == GAPS

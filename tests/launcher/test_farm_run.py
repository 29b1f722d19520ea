"""Running a farm on Ray, with units that wait instead of computing: losses, what is reachable, what stays."""

import contextlib
import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
import pytest
from betwixt.launcher.commands import parser
from betwixt.launcher.failures import Failure, UsageMistake
from betwixt.launcher.farm import command
from betwixt.launcher.farm.cluster import CLUSTERS, PLACE, SCRATCH, cluster
from betwixt.launcher.farm.folder import Folder
from betwixt.launcher.farm.plan import Plan
from betwixt.launcher.farm.run import Driver
from betwixt.launcher.farm.scratch import scratch_folder

from support.farm_engines import SLEEPING, made, write_plan

ROOT = Path(__file__).parents[2]

os.environ[CLUSTERS] = "0"  # as an own cluster has it; whichever test imports Ray first
needs_ray = pytest.mark.skipif(  # looked for, not imported: what it is told before its import counts
    importlib.util.find_spec("ray") is None, reason="Ray is not installed, an optional extra"
)


@pytest.fixture(scope="module")
def ray():
    """One small cluster for all tests of this file."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed, an optional extra")
    with cluster(None, 4) as (module, count):
        assert count == 4
        yield module


def drive(ray, out: Path, plan: Plan, workers: int, elsewhere: int = 1, copy: bool = False, **options) -> Driver:
    driver = Driver(ray, Folder(out), plan, workers, elsewhere, copy, options, SLEEPING)
    driver.run()
    return driver


def test_everything_is_made_once_and_nothing_again(ray, tmp_path, capsys):
    plan = write_plan(tmp_path, [4, 1, 3, 2])
    assert drive(ray, tmp_path, plan, 2).made == 4 and made(tmp_path) == [1, 2, 3, 4]
    text = capsys.readouterr().out
    assert "[4/4] unit" in text and "end about" in text
    assert re.search("worker [12] is ready: sleeping", text)  # one may make all units before the other is ready
    assert drive(ray, tmp_path, plan, 2).made == 0 and made(tmp_path) == [1, 2, 3, 4]
    (tmp_path / "input/segments/1.0_00003.safetensors").write_bytes(b"broken")
    assert drive(ray, tmp_path, plan, 2).made == 1 and made(tmp_path) == [1, 2, 3, 3, 4]


def test_a_run_leaves_no_thread_process_or_file(ray, tmp_path, monkeypatch):
    """Ray's own threads are the next test's."""
    scratch = tmp_path / "temporary"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    drive(ray, tmp_path / "first", write_plan(tmp_path / "first", [1, 1]), 2)
    out, threads = tmp_path / "second", sorted(thread.name for thread in threading.enumerate())
    files = {path for path in Path(PLACE).iterdir() if path.name.startswith(SCRATCH)}
    plan = write_plan(out, [1] * 6)
    assert drive(ray, out, plan, 2, elsewhere=2).made == 6
    assert sorted(thread.name for thread in threading.enumerate()) == threads
    deadline = time.monotonic() + 60  # Ray ends workers behind the call
    while running(out) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert running(out) == []
    assert not list(scratch.iterdir()) and not list(out.rglob("*.tmp"))
    assert {path for path in Path(PLACE).iterdir() if path.name.startswith(SCRATCH)} == files


def test_killed_workers_lose_nothing_and_nothing_finished_is_made_again(ray, tmp_path):
    """SIGKILL in the middle of units, as the system does when memory runs out."""
    plan = write_plan(tmp_path, [60] * 6)
    killed: list[int] = []

    def kill() -> None:
        deadline = time.monotonic() + 120
        while len(made(tmp_path)) < 1 + len(killed) and time.monotonic() < deadline:
            time.sleep(0.02)
        for worker in running(tmp_path):
            if worker not in killed:
                killed.append(worker)
                os.kill(worker, signal.SIGKILL)
                return

    killer = threading.Thread(target=lambda: [kill(), kill()])
    killer.start()
    assert drive(ray, tmp_path, plan, 2, elsewhere=2).made + len(killed) >= 6
    killer.join()
    assert len(killed) == 2 and made(tmp_path) == [1, 2, 3, 4, 5, 6]


def running(out: Path) -> list[int]:
    """The process ids of the workers of a farm that are alive."""
    workers = [int(path.name.split("-")[1]) for path in (out / "logs").glob("engine-*")]
    return [worker for worker in sorted(workers) if psutil.pid_exists(worker)]


@needs_ray
def test_an_address_where_something_else_answers():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")
                connection.recv(1000)

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(UsageMistake, match="something answers there that is no Ray"):
            with cluster(f"127.0.0.1:{server.getsockname()[1]}", None):
                pass


@pytest.mark.long
def test_files_go_through_ray_where_workers_do_not_see_the_folder(ray, tmp_path):
    plan = write_plan(tmp_path, [2, 1])
    assert drive(ray, tmp_path, plan, 2, copy=True).made == 2
    assert made(tmp_path) == []  # the workers wrote into folders of their own
    assert sorted(path.name for path in (tmp_path / "input/segments").iterdir()) == [
        "1.0_00001.safetensors",
        "1.0_00002.safetensors",
    ]
    assert drive(ray, tmp_path, plan, 2, copy=True).made == 0


def test_without_ray_a_sentence_says_what_to_install(tmp_path, monkeypatch):
    write_plan(tmp_path, [1])
    monkeypatch.setitem(sys.modules, "ray", None)
    args = parser().parse_args(["farm", "run", str(tmp_path)])
    with pytest.raises(Failure) as raised:
        command.perform(args, tmp_path, tmp_path)
    text = str(raised.value)
    assert f'"{sys.executable}" -m pip install "{ROOT}[farm]"' in text and "farm export OUT --to commands" in text


def test_nothing_listens_but_on_the_loopback_address(ray, tmp_path):
    """Ray's own processes and the workers; the servers' address is theirs (test_server.py)."""
    drive(ray, tmp_path, write_plan(tmp_path, [1, 1]), 2)
    me = psutil.Process()
    found = {}
    for process in (me, *me.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            for place in process.net_connections("inet"):
                if place.status == psutil.CONN_LISTEN:
                    found[f"{process.name()} {place.laddr.port}"] = place.laddr.ip.removeprefix("::ffff:")
    assert {"gcs_server", "raylet"} <= {name.split()[0] for name in found}
    assert set(found.values()) == {"127.0.0.1"}, found


@needs_ray
@pytest.mark.parametrize(
    "address, text", [("ray://127.0.0.1:1", "nobody answers there"), ("nonsense", "expected ray://")]
)
def test_an_address_that_is_no_ray(address, text):
    with pytest.raises(UsageMistake, match=text), cluster(address, None):
        pass


COUNTS = """
import sys, threading
import betwixt, pathlib, psutil
from betwixt.launcher.farm.cluster import cluster
from betwixt.launcher.farm.run import Driver
from betwixt.launcher.farm.folder import Folder
from support.farm_engines import SLEEPING, write_plan
me = psutil.Process()
for number in range(4):
    out = pathlib.Path(sys.argv[1]) / str(number)
    plan = write_plan(out, [1, 1])
    with cluster(None, 1) as (ray, _):
        Driver(ray, Folder(out), plan, 1, 1, False, {}, SLEEPING).run()
    print("left", threading.active_count(), len(me.children(recursive=True)), me.num_threads())
"""


@pytest.mark.long
def test_clusters_one_after_the_other_leave_no_thread_or_process(ray, tmp_path):
    """In a process of their own: the first import of Ray leaves native threads, later clusters none more."""
    answer = subprocess.run([sys.executable, "-c", COUNTS, tmp_path], cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    left = [tuple(map(int, line.split()[1:])) for line in answer.stdout.splitlines() if line.startswith("left")]
    assert [counts[:2] for counts in left] == [(1, 0)] * 4
    assert left[3][2] <= left[1][2] + 1  # of the operating system; four clusters with a leak would be three more


@pytest.mark.long
def test_a_killed_driver_leaves_what_is_finished_and_no_process(ray, tmp_path):
    plan = write_plan(tmp_path, [40] * 12)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import betwixt, pathlib\n"
        "from betwixt.launcher.farm.cluster import cluster\nfrom betwixt.launcher.farm.run import Driver\n"
        "from betwixt.launcher.farm.folder import Folder\nfrom betwixt.launcher.farm.plan import read_plan\n"
        "folder = Folder(pathlib.Path(sys.argv[2]))\n"
        "with cluster(None, 2) as (ray, n):\n"
        f"    Driver(ray, folder, read_plan(folder), 2, 1, False, {{}}, {SLEEPING!r}).run()\n"
    )
    driver = subprocess.Popen([sys.executable, "-c", code, str(ROOT), str(tmp_path)], cwd=ROOT)
    deadline = time.monotonic() + 300
    while len(made(tmp_path)) < 4 and time.monotonic() < deadline and driver.poll() is None:
        time.sleep(0.1)
    family = psutil.Process(driver.pid).children(recursive=True)
    assert len(running(tmp_path)) == 2 and len(family) > 4
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    before = made(tmp_path)
    assert len(before) >= 4
    _, alive = psutil.wait_procs(family, timeout=120)
    assert alive == []
    with scratch_folder(SCRATCH, PLACE):
        assert not list(Path(PLACE).glob(f"{SCRATCH}{driver.pid}-*"))
    assert drive(ray, tmp_path, plan, 2).kept >= len(before)
    assert made(tmp_path) == list(range(1, 13))  # each once

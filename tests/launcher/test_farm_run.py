"""Running a farm on Ray, with units that wait instead of computing: balance, losses, what stays."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from betwixt.launcher.commands import main
from betwixt.launcher.failures import Failure
from betwixt.launcher.farm.folder import Folder
from betwixt.launcher.farm.plan import Plan, make_units
from betwixt.launcher.farm.run import Driver, cluster
from betwixt.launcher.farm.splits import Split

from support.farm_engines import made

ROOT = Path(__file__).parents[2]
ENGINE = "support.farm_engines:SleepingEngine"

NO_RAY = "Ray is not installed (an optional extra: pip install 'ray>=2.60,<3')"


@pytest.fixture(scope="module")
def ray():
    """One small cluster for all tests of this file."""
    pytest.importorskip("ray", reason=NO_RAY)
    with cluster(None, 4) as (module, count):
        assert count == 4
        yield module


def write_plan(out: Path, sizes) -> Plan:
    from betwixt.common.files.pack_version import pack_version

    graph = {"1": {"class_type": "A", "inputs": {"gaps": ""}}}
    split = Split("1", "gaps", {"1": "gaps"}, ())
    units = make_units(graph, [split], [sizes])
    plan = Plan(graph, graph, (split,), units, (), {}, (), 0.0, pack_version(), "0.30.0")
    Folder(out).make()
    plan.write(Folder(out))
    return plan


def drive(ray, out: Path, plan: Plan, workers: int, elsewhere: int = 1, copy: bool = False, **options) -> Driver:
    driver = Driver(ray, Folder(out), plan, workers, elsewhere, copy, options, ENGINE)
    driver.run()
    return driver


def test_everything_is_made_once_and_nothing_again(ray, tmp_path, capsys):
    plan = write_plan(tmp_path, [4, 1, 3, 2])
    assert drive(ray, tmp_path, plan, 2).made == 4 and made(tmp_path) == [1, 2, 3, 4]
    text = capsys.readouterr().out
    assert "[4/4] unit" in text and "end about" in text and "worker 1 is ready: sleeping" in text
    assert drive(ray, tmp_path, plan, 2).made == 0 and made(tmp_path) == [1, 2, 3, 4]
    (tmp_path / "input/segments/sleep_00003.safetensors").write_bytes(b"broken")
    assert drive(ray, tmp_path, plan, 2).made == 1 and made(tmp_path) == [1, 2, 3, 3, 4]


def test_lost_servers_and_workers_lose_nothing(ray, tmp_path, capsys):
    plan = write_plan(tmp_path, [3, 2, 1])
    (tmp_path / "lose-server-1").touch()
    (tmp_path / "die-2").touch()
    assert drive(ray, tmp_path, plan, 2).made == 3 and made(tmp_path) == [1, 2, 3]
    text = capsys.readouterr().out
    assert "lost its server while it made unit 1" in text and "was lost" in text


def test_a_unit_is_tried_elsewhere_a_bounded_number_of_times(ray, tmp_path):
    plan = write_plan(tmp_path, [3, 2])
    (tmp_path / "die-1").touch()
    with pytest.raises(Failure, match="lost its worker 1 times"):
        drive(ray, tmp_path, plan, 1, elsewhere=0)


def test_files_go_through_ray_where_workers_do_not_see_the_folder(ray, tmp_path):
    plan = write_plan(tmp_path, [2, 1])
    assert drive(ray, tmp_path, plan, 2, copy=True).made == 2
    assert made(tmp_path) == []  # the workers wrote into folders of their own
    assert sorted(path.name for path in (tmp_path / "input/segments").iterdir()) == [
        "sleep_00001.safetensors",
        "sleep_00002.safetensors",
    ]
    assert drive(ray, tmp_path, plan, 2, copy=True).made == 0


def test_without_ray_a_sentence_says_what_to_install(tmp_path, monkeypatch, capsys):
    from betwixt.launcher.farm import command, run

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(
        Failure, match="optional extra, which is not installed for(.|\n)*-m pip install(.|\n)*--to comm"
    ):
        run.require_ray()
    assert "farm export OUT --to commands" in command.NO_RAY


@pytest.mark.parametrize(
    "address, text", [("ray://127.0.0.1:1", "nobody answers there"), ("nonsense", "expected ray://")]
)
def test_an_address_that_is_no_ray(address, text):
    pytest.importorskip("ray", reason=NO_RAY)
    from betwixt.launcher.failures import UsageMistake

    with pytest.raises(UsageMistake, match=text), cluster(address, None):
        pass


def test_a_killed_driver_leaves_what_is_finished_and_no_process(tmp_path):
    pytest.importorskip("ray", reason=NO_RAY)
    write_plan(tmp_path, [40] * 12)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import betwixt, pathlib\n"
        "from betwixt.launcher.farm.run import Driver, cluster\n"
        "from betwixt.launcher.farm.folder import Folder\nfrom betwixt.launcher.farm.plan import read_plan\n"
        "folder = Folder(pathlib.Path(sys.argv[2]))\n"
        "with cluster(None, 2) as (ray, n):\n"
        f"    Driver(ray, folder, read_plan(folder), 2, 1, False, {{}}, {ENGINE!r}).run()\n"
    )
    driver = subprocess.Popen([sys.executable, "-c", code, str(ROOT), str(tmp_path)], cwd=ROOT)
    deadline = time.monotonic() + 300
    while len(made(tmp_path)) < 4 and time.monotonic() < deadline and driver.poll() is None:
        time.sleep(0.1)
    workers = [int(path.name.split("-")[1]) for path in (tmp_path / "logs").glob("engine-*")]
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    before = set(made(tmp_path))
    assert len(before) >= 4 and len(workers) == 2
    deadline = time.monotonic() + 120
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
    assert subprocess.run([sys.executable, "-c", code, str(ROOT), str(tmp_path)], cwd=ROOT).returncode == 0
    assert set(made(tmp_path)) == set(range(1, 13))
    assert len(made(tmp_path)) == 12  # none of the finished ones again


def test_status_after_a_run(ray, tmp_path, capsys):
    plan = write_plan(tmp_path, [1, 1])
    drive(ray, tmp_path, plan, 1)
    assert main(["farm", "status", str(tmp_path)]) == 0
    assert "2 of 2 units are finished" in capsys.readouterr().out

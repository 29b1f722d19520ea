"""The driver of a farm, with workers in this process and units that wait: losses, memory, full disks, many units."""

import os
import socket
import subprocess
import sys
import tempfile
import tracemalloc
from pathlib import Path

import pytest
from betwixt.launcher.commands import main
from betwixt.launcher.failures import Failure, UsageMistake
from betwixt.launcher.farm.folder import Folder
from betwixt.launcher.farm.manifests import differences, finished_units
from betwixt.launcher.farm.plan import Plan
from betwixt.launcher.farm.run import Driver
from betwixt.launcher.farm.scratch import scratch_folder

from support.bootstrap import ROOT
from support.farm_engines import SLEEPING, InlineRay, made, write_plan


def drive(out: Path, plan: Plan, workers: int, copy: bool = False, **options) -> Driver:
    driver = Driver(InlineRay(), Folder(out), plan, workers, 1, copy, options, SLEEPING)
    driver.run()
    return driver


def test_lost_servers_and_workers_lose_nothing(tmp_path, capsys):
    plan = write_plan(tmp_path, [3, 2, 1])
    (tmp_path / "lose-server-1").touch()
    (tmp_path / "die-2").touch()
    assert drive(tmp_path, plan, 2).made == 3 and made(tmp_path) == [1, 2, 3]
    text = capsys.readouterr().out
    assert "lost its server while it made unit 1" in text and "was lost" in text
    assert main(["farm", "status", str(tmp_path)]) == 0
    assert "3 of 3 units are finished" in capsys.readouterr().out


def test_a_unit_whose_worker_is_lost_after_its_end_is_not_made_again(tmp_path):
    plan = write_plan(tmp_path, [2, 1])
    (tmp_path / "die-after-1").touch()
    assert drive(tmp_path, plan, 1).made == 2 and made(tmp_path) == [1, 2]


def test_a_unit_is_tried_elsewhere_a_bounded_number_of_times(tmp_path):
    plan = write_plan(tmp_path, [3, 2])
    (tmp_path / "die-1").touch()
    driver = Driver(InlineRay(), Folder(tmp_path), plan, 1, 0, False, {}, SLEEPING)
    with pytest.raises(Failure, match="lost its worker 1 times"):
        driver.run()


def test_results_go_through_the_store_where_workers_do_not_see_the_folder(tmp_path):
    plan = write_plan(tmp_path, [2, 1])
    assert drive(tmp_path, plan, 2, copy=True).made == 2
    assert made(tmp_path) == []  # the workers wrote into folders of their own
    assert len(list((tmp_path / "input/segments").iterdir())) == 2
    assert drive(tmp_path, plan, 2, copy=True).made == 0


def test_a_unit_that_runs_out_of_memory_goes_to_the_largest_card_once(tmp_path, capsys):
    plan = write_plan(tmp_path, [0, 0, 0])
    (tmp_path / "needs-1").write_text("20")
    assert drive(tmp_path, plan, 3, cards=[8.0, 16.0, 24.0]).made == 3
    assert made(tmp_path) == [1, 2, 3] and made(tmp_path, "tried") == [1]
    assert "unit 1 ran out of memory on sleeping; once more on a larger card" in capsys.readouterr().out


def test_memory_that_no_card_has_is_said_after_the_second_try(tmp_path):
    plan = write_plan(tmp_path, [3, 0, 0])
    (tmp_path / "needs-1").write_text("80")
    with pytest.raises(Failure, match="Unit 1 .* ran out of memory on sleeping: Node .*OutOfMemoryError: as told"):
        drive(tmp_path, plan, 2, cards=[8.0, 24.0])
    assert made(tmp_path, "tried") == [1, 1]


def test_a_nodes_error_ends_the_run_with_its_message_and_is_not_tried_again(tmp_path):
    plan = write_plan(tmp_path, [9, 5, 0])
    (tmp_path / "fail-2").touch()
    with pytest.raises(Failure, match="Unit 2 .*BetwixtError: as told(.|\n)*What is finished is kept") as raised:
        drive(tmp_path, plan, 1)
    assert raised.value.exit_code == 4 and made(tmp_path, "tried") == [2] and made(tmp_path) == [1]
    (tmp_path / "fail-2").unlink()
    assert drive(tmp_path, plan, 1).made == 2 and made(tmp_path) == [1, 2, 3]


def test_a_refused_graph_ends_the_run_and_is_not_tried_again(tmp_path):
    plan = write_plan(tmp_path, [9, 5])
    (tmp_path / "refuse-2").touch()
    with pytest.raises(Failure, match="Unit 2 .*Node as told(.|\n)*What is finished is kept") as raised:
        drive(tmp_path, plan, 1)
    assert raised.value.exit_code == 3 and made(tmp_path, "tried") == [2] and made(tmp_path) == [1]


def test_ctrl_c_leaves_what_is_finished_and_closes_the_workers(tmp_path):
    plan = write_plan(tmp_path, [4, 3, 2, 1])
    closed = []

    class Stopped(InlineRay):
        def get(self, call):
            if call.function.__name__ == "make" and len(made(tmp_path)) == 2:
                raise KeyboardInterrupt
            return super().get(call)

        def wait(self, calls, num_returns, timeout):
            closed.extend(call for call in calls if call.function.__name__ == "close")
            return super().wait(calls, num_returns, timeout)

    with pytest.raises(KeyboardInterrupt):
        Driver(Stopped(), Folder(tmp_path), plan, 2, 1, False, {}, SLEEPING).run()
    assert made(tmp_path) == [1, 2] and len(closed) == 2
    assert drive(tmp_path, plan, 2).made == 2 and made(tmp_path) == [1, 2, 3, 4]


def test_units_from_different_machines_are_told():
    first = {"device": "RTX 4090", "torch": "2.9", "threads": 4}
    assert differences([first, first]) == []
    (text,) = differences([first, {**first, "device": "cpu (x86_64)"}])
    assert "different devices (RTX 4090, cpu (x86_64)): they agree within rounding, not to the byte" in text
    assert len(differences([first, {"device": "cpu", "torch": "2.8", "threads": 1}])) == 3


def test_workers_that_never_start_are_not_replaced_for_ever(tmp_path):
    plan = write_plan(tmp_path, [0, 0])

    class Dying(InlineRay):
        def get(self, call):
            raise self.exceptions.RayActorError("No module named 'betwixt'")

    driver = Driver(Dying(), Folder(tmp_path), plan, 2, 1, False, {}, SLEEPING)
    with pytest.raises(Failure, match="4 workers were lost, the last one so: No module named 'betwixt'"):
        driver.run()


def test_a_worker_on_a_plan_of_another_version_says_so(tmp_path):
    plan = write_plan(tmp_path, [0])
    text = Folder(tmp_path).plan.read_text()
    Folder(tmp_path).plan.write_text(text.replace(plan.betwixt, "0.0.9"))
    with pytest.raises(Failure, match="worker 1 could not start: .*was made by Betwixt 0.0.9"):
        drive(tmp_path, plan, 1)


def test_the_memory_of_the_driver_is_flat_over_many_units(tmp_path, capsys):
    plan = write_plan(tmp_path, [0] * 200)
    held = []

    class Measured(Driver):
        def _report(self, *arguments):
            super()._report(*arguments)
            capsys.readouterr()
            held.append(tracemalloc.get_traced_memory()[0])

    tracemalloc.start()
    try:
        Measured(InlineRay(), Folder(tmp_path), plan, 4, 1, True, {"bytes": 200_000}, SLEEPING).run()
    finally:
        tracemalloc.stop()
    assert len(held) == 200
    grown = [min(held[at + 40 : at + 50]) - min(held[at : at + 10]) for at in (0, 50, 100, 150)]
    assert sorted(grown)[1] < 100_000  # half a result of 40; something else may be imported in one of the four


LIMITED = f"""
import resource, sys
import betwixt
from pathlib import Path
from betwixt.launcher.farm.folder import Folder
from betwixt.launcher.farm.plan import read_plan
from betwixt.launcher.farm.run import Driver
from betwixt.launcher.commands import main
from betwixt.launcher.failures import Failure, UsageMistake
from support.farm_engines import InlineRay
folder = Folder(Path(sys.argv[1]))

class Full(Driver):
    def _give(self):
        if not self.copy and any(hand.offer for hand in self.hands.values()):  # the worker writes
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        super()._give()

    def _keep(self, answer):
        if self.copy:  # the driver writes
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        super()._keep(answer)

try:
    Full(InlineRay(), folder, read_plan(folder), 1, 1, sys.argv[2] == "copy", {{"bytes": 30_000}}, {SLEEPING!r}).run()
except Failure as failure:
    print(failure)
    raise SystemExit(failure.exit_code)
"""


@pytest.mark.parametrize("copy", ["copy", "in place"])
def test_a_disk_that_is_full_loses_nothing_that_is_finished(copy, tmp_path):
    """A limit to the size of files stands for the full disk: it works without special rights."""
    plan, folder = write_plan(tmp_path, [0] * 4), Folder(tmp_path)
    for number in (3, 4):
        (tmp_path / f"fail-{number}").touch()
    with pytest.raises(Failure):
        drive(tmp_path, plan, 1)
    finished = [(folder.manifest(number).read_bytes(), folder.manifest(number).stat().st_mtime_ns) for number in (1, 2)]
    for number in (3, 4):
        (tmp_path / f"fail-{number}").unlink()
    answer = subprocess.run([sys.executable, "-c", LIMITED, tmp_path, copy], cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 1 and "Traceback" not in answer.stderr, answer.stderr
    assert "cannot be written (File too large). Make room there" in answer.stdout
    assert "what is finished is kept" in answer.stdout
    assert not list(tmp_path.rglob("*.tmp"))
    done, faults = finished_units(plan, folder)
    assert [unit.number for unit in done] == [1, 2] and set(faults.values()) == {"not made yet"}
    assert drive(tmp_path, plan, 1).made == 2
    again = [(folder.manifest(number).read_bytes(), folder.manifest(number).stat().st_mtime_ns) for number in (1, 2)]
    assert again == finished


def test_a_folder_that_cannot_be_written_is_refused_at_once():
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "out"
        write_plan(out, [0])
        os.chmod(place, 0o755)
        for folder in (out, *(path for path in out.rglob("*") if path.is_dir())):
            folder.chmod(0o555)
        nobody = os.geteuid() == 0
        if nobody:  # everything may be written by root
            os.seteuid(65534)
        try:
            with pytest.raises(
                UsageMistake, match="nothing can be written there \\(Permission denied\\). Name another"
            ):
                Folder(out).make()
        finally:
            if nobody:
                os.seteuid(0)
            for folder in (out, *(path for path in out.rglob("*") if path.is_dir())):
                folder.chmod(0o755)


def test_what_killed_processes_left_is_removed_by_the_next(tmp_path):
    folder = Folder(tmp_path / "out")
    folder.make()
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    host = socket.gethostname()
    gone = [folder.units / f".0001.json.{host}.{dead.pid}.tmp", folder.input / f"segments/.a.{host}.{dead.pid}.tmp"]
    kept = [folder.units / f".0002.json.{host}.{os.getpid()}.tmp", folder.units / f".0003.json.other.{dead.pid}.tmp"]
    for path in (*gone, *kept):
        path.touch()
    folder.remove_leftovers()
    assert not any(path.exists() for path in gone) and all(path.exists() for path in kept)
    orphan, own = tmp_path / f"farm-{dead.pid}-x", tmp_path / f"farm-{os.getpid()}-y"
    orphan.mkdir()
    own.mkdir()
    with scratch_folder("farm-", str(tmp_path)) as scratch:
        assert scratch.is_dir() and not orphan.exists() and own.exists()
    assert not scratch.exists()

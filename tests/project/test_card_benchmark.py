"""The command that measures on a card, in miniature."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from betwixt.launcher.host_tree import find_host

from support.bootstrap import ROOT

PARTS = ("goldens", "fcvg", "ebsynth", "gmflow", "small_cards", "parity")
SLOW = ("tooncrafter", "rerender", "tooncrafter_large", "rerender_wide", "fcvg_variants")


def carried(host: Path, there: Path) -> Path:
    """Of ComfyUI's tree what benchmarks/README.md has carried to a card's machine, as links."""

    def linked(folder: Path, paths) -> None:
        folder.mkdir()
        for path in paths:
            (folder / path.name).symlink_to(path)

    left = ("comfy", "comfy_extras", "comfy_api_nodes")
    folders = [path for path in host.glob("comfy*") if path.is_dir() and path.name not in left]
    linked(there, [*host.glob("*.py"), host / "utils", *folders])
    linked(there / "comfy", (path for path in (host / "comfy").iterdir() if path.name != "text_encoders"))
    linked(there / "comfy" / "text_encoders", (host / "comfy" / "text_encoders").glob("*.py"))
    return there


def begun(tmp_path, *parts: str) -> subprocess.Popen:
    """The command with these parts on the processor, beside as much of ComfyUI as it needs."""
    host = carried(find_host(), tmp_path / "ComfyUI")
    command = [sys.executable, "-m", "benchmarks.card", "--tiny", "--out", str(tmp_path), "--parts", *parts]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "COMFYUI_PATH": str(host)}
    pipes = {"stdout": -1, "stderr": -1, "text": True}
    return subprocess.Popen(command, cwd=ROOT, env=environment, **pipes)


def in_miniature(tmp_path, *parts: str) -> dict:
    """card.json of a run of these parts on the processor."""
    process = begun(tmp_path, *parts)
    said, errors = process.communicate()
    assert process.returncode == 0, errors
    assert all(f"[{part}, plain] about" in said for part in parts)
    found = json.loads((tmp_path / "card.json").read_text())
    assert found["parts"] == {f"{part}, plain": "done" for part in parts}
    assert found["seconds"].keys() == found["parts"].keys()
    return found


@pytest.mark.usefixtures("host")
def test_the_card_command_runs_in_miniature(tmp_path):
    found = in_miniature(tmp_path, *PARTS)
    rows = found["tables"]["correctness"]["rows"]
    assert {row[0] for row in rows} >= {"GMFlow", "ToonCrafter UNet", "gmflow/flow_pad_61x93"} and all(
        row[4] for row in rows
    )
    speed = found["tables"]["speed"]
    step = next(row for row in speed["rows"] if row[0] == "FCVG 3x128x64, 2 steps")
    assert step[speed["columns"].index("s per step")] > 0
    assert step[speed["columns"].index("TFLOP")] == pytest.approx(0.01584, rel=1e-3)
    jobs = {row[0] for row in speed["rows"]}
    assert "GMFlow 64x48, both directions, fp32" in jobs
    assert "EbSynth 64x48, 3 frames, one pass, torch, EbSynth's settings" in jobs


@pytest.mark.long
@pytest.mark.usefixtures("host")
def test_the_other_parts_of_the_card_command_run_in_miniature(tmp_path):
    speed = in_miniature(tmp_path, *SLOW)["tables"]["speed"]
    limits = [row[speed["columns"].index("times the limit")] for row in speed["rows"]]
    assert sum(limit is not None for limit in limits) >= 12 and all(limit is None or limit > 1 for limit in limits)


def test_every_part_is_run_here(host, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks.card import options

    assert sorted((*PARTS, *SLOW)) == sorted(options.PARTS) and set(options.DYNAMIC_PARTS) <= set(options.PARTS)


@pytest.mark.usefixtures("host")
def test_a_part_that_fails_is_noted_and_the_others_run(tmp_path, monkeypatch):
    """A process that dies takes only the part it was at with it."""
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks.card import __main__ as card
    from benchmarks.card.results import Results

    started = []

    class Dies:
        def __init__(self, command):
            parts = command[command.index("--parts") + 1 :]
            started.append(parts)
            results = Results(tmp_path / "card.json")
            for part in parts:
                results.state(part, "plain", "begun")
                if part == "fcvg":
                    break
                results.state(part, "plain", "done")

        def wait(self, timeout):
            return 0 if started[-1] == ["ebsynth"] else -11

    monkeypatch.setattr(card.subprocess, "Popen", Dies)
    monkeypatch.setattr(sys, "argv", ["card", "--tiny", "--out", str(tmp_path), "--parts", "gmflow", "fcvg", "ebsynth"])
    assert card.main() == 1
    assert started == [["gmflow", "fcvg", "ebsynth"], ["ebsynth"]]
    assert Results(tmp_path / "card.json").failed() == ["fcvg, plain: the process ended with -11"]


@pytest.mark.usefixtures("host")
def test_parts_for_which_the_time_is_too_short_are_left_out_with_the_reason(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks.card import __main__ as card
    from benchmarks.card import options, worker
    from benchmarks.card.results import Results

    chosen = ["--tiny", "--out", str(tmp_path), "--parts", "tooncrafter", "gmflow", "rerender"]
    threads, until = torch.get_num_threads(), str(time.monotonic() + 12)  # gmflow is expected to take 5 s
    try:
        worker.work(options.parsed([*chosen, "--measure", "plain", "--until", until]), Results(tmp_path / "card.json"))
    finally:
        torch.set_num_threads(threads)
    parts = json.loads((tmp_path / "card.json").read_text())["parts"]
    assert parts["gmflow, plain"] == "done"
    assert all(parts[f"{part}, plain"].startswith("left out: about") for part in ("tooncrafter", "rerender"))
    monkeypatch.setattr(sys, "argv", ["card", *chosen, "--minutes", "0.05"])  # not enough to start with
    assert card.main() == 0
    parts = json.loads((tmp_path / "card.json").read_text())["parts"]
    assert set(parts.values()) == {"left out: the time is over"} and len(parts) == 3
    assert "gmflow, plain: left out" in capsys.readouterr().out


@pytest.mark.long
@pytest.mark.usefixtures("host")
def test_a_killed_run_keeps_what_it_has_and_leaves_nothing_running(tmp_path):
    path, process = tmp_path / "card.json", begun(tmp_path, "gmflow", "tooncrafter_large")

    def parts() -> dict:
        return json.loads(path.read_text())["parts"] if path.exists() else {}

    until = time.monotonic() + 120
    while parts().get("tooncrafter_large, plain") != "begun":
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.01)
    (child,) = psutil.Process(process.pid).children()
    process.kill()
    process.communicate(timeout=10)  # it ends when nobody holds the pipes any more, the other process included
    assert parts() == {"gmflow, plain": "done", "tooncrafter_large, plain": "begun"}
    child.wait(timeout=10)
    rows = json.loads(path.read_text())["tables"]["speed"]["rows"]
    assert [row[0] for row in rows] == ["GMFlow 64x48, both directions, fp32"]

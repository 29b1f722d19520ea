"""The command that measures on a card, in miniature."""

import json
import os
import subprocess
import sys

import pytest

from support.bootstrap import ROOT

PARTS = ("goldens", "fcvg", "ebsynth", "gmflow", "small_cards")
SLOW = ("tooncrafter", "rerender", "tooncrafter_large", "rerender_wide", "fcvg_variants")


def in_miniature(tmp_path, *parts: str) -> dict:
    """card.json of a run of these parts on the processor."""
    command = [sys.executable, "-m", "benchmarks.card", "--tiny", "--out", str(tmp_path), "--parts", *parts]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "card.json").read_text())
    assert found["parts"] == {f"{part}, plain": "done" for part in parts}
    assert found["seconds"].keys() == found["parts"].keys()
    return found


@pytest.mark.usefixtures("host")
def test_the_card_command_runs_in_miniature(tmp_path):
    found = in_miniature(tmp_path, *PARTS)
    rows = found["tables"]["correctness"]["rows"]
    assert {row[0] for row in rows} >= {"GMFlow", "ToonCrafter UNet"} and all(row[4] for row in rows)
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

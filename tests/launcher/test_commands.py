"""The command line: what is refused before anything is installed, and which Python goes on."""

import os
import shutil
import socket
import subprocess
import sys
import types
from pathlib import Path

import pytest
from betwixt.common.files.published_files import PUBLISHED_FILES, SKETCH_ENCODER, SUPERPOINT, TOONCRAFTER
from betwixt.launcher import commands, doctor, environment, setup, suite
from betwixt.launcher.failures import Failure, SetupFailed
from betwixt.launcher.host_tree import Host

from betwixt import betwixt as launcher


@pytest.fixture
def never_prepared(monkeypatch):
    monkeypatch.setattr(commands, "prepare", lambda **_: pytest.fail("the set-up was started"))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["run", "nothing.json"], "nothing.json cannot be read: No such file"),
        (["run", "graph.json", "--set", "1.image"], "expected node.input=value"),
        (["run", "graph.json", "--input", "nothing.png"], "--input nothing.png: there is no such file"),
        (["run", "graph.json", "--base", "nothing"], "--base nothing: there is no such folder"),
    ],
)
def test_mistakes_are_refused_before_the_set_up(never_prepared, tmp_path, monkeypatch, capsys, arguments, complaint):
    monkeypatch.chdir(tmp_path)
    Path("graph.json").write_text('{"1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}}}')
    assert commands.main(arguments) == 2
    assert complaint in capsys.readouterr().out


def test_serve_refuses_a_port_in_use(never_prepared, capsys):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        assert commands.main(["serve", "--port", str(other.getsockname()[1])]) == 2
    assert "is in use, perhaps by another ComfyUI" in capsys.readouterr().out


def test_tests_refuse_to_leave_the_frontend_out_silently(never_prepared, monkeypatch, capsys):
    monkeypatch.setattr(suite, "find_browser", lambda: None)
    assert commands.main(["test"]) == 1
    said = capsys.readouterr().out
    assert "need Chromium" in said and "apt install chromium" in said and "--no-frontend" in said


@pytest.mark.parametrize(
    ("results", "code", "verdict"), [([0, 0, 0, 0, 0], 0, "passed: ruff"), ([0, 1, 0, 1, 0], 1, "FAILED: ")]
)
def test_the_suite_ends_with_one_plain_line(monkeypatch, capsys, results, code, verdict):
    commands_run = []

    def run(command, **options):
        commands_run.append((command[1:], options["env"]))
        return types.SimpleNamespace(returncode=results[len(commands_run) - 1])

    monkeypatch.setattr(subprocess, "run", run)
    assert suite.test(types.SimpleNamespace(no_frontend=True, long=False), Path("/host")) == code
    assert [command[1] for command, _ in commands_run] == [
        "ruff",
        "ruff",
        "tools.check_types",
        "pytest",
        "tools.host_matrix",
    ]
    assert commands_run[-2][0][-2:] == ["-m", "not frontend and not long"]
    assert {env["OMP_NUM_THREADS"] for _, env in commands_run} == {"1"}
    *_, left_out, last = capsys.readouterr().out.splitlines()
    assert left_out == suite.FRONTEND_LEFT_OUT and verdict in last
    if code:
        assert "ruff format, pytest" in last


def test_a_failed_set_up_names_step_and_remedy(monkeypatch, capsys):
    def fail(**_):
        raise SetupFailed("Install PyTorch", "the disk is full.", "Free some space.", "pip's words")

    monkeypatch.setattr(commands, "prepare", fail)
    assert commands.main(["demo"]) == 1
    said = capsys.readouterr().out
    assert "The step 'Install PyTorch' failed: the disk is full.\nFree some space.\n\npip's words" in said


def test_the_exit_codes_differ_and_are_documented():
    kinds = Failure.__subclasses__()
    codes = {kind.__name__: kind.exit_code for kind in kinds}
    assert codes == {
        "SetupFailed": 1,
        "UsageMistake": 2,
        "ValidationFailed": 3,
        "ExecutionFailed": 4,
        "ServerLost": 5,
        "ServerRefused": 5,
        "UntrustedNames": 5,
        "Interrupted": 130,
    }
    text = commands.parser().format_help()
    assert all(f"\n  {code} " in text for code in (0, *codes.values()))


def test_an_installation_is_used_with_its_own_python_and_never_changed(tmp_path, monkeypatch):
    host = Host(tmp_path / "ComfyUI", "installation")
    python = host.path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    monkeypatch.setattr(setup, "locate_host", lambda: host)
    monkeypatch.setattr(setup, "set_up", lambda *_: pytest.fail("the installation was to be changed"))
    assert setup.prepare() == setup.Ready(host, str(python), host.path)
    python.write_text('#!/bin/sh\ncase "$2" in *print*) echo kornia cv2;; esac\n')
    with pytest.raises(SetupFailed, match=r"lacks kornia, opencv-python-headless.*Nothing was changed") as failure:
        setup.prepare()
    assert f"{python} -m pip install -r" in failure.value.remedy


def test_doctor_tells_where_model_files_are_and_go(tmp_path, monkeypatch, capsys):
    host = Host(tmp_path / "tree", "cache")
    monkeypatch.setattr(doctor, "locate_host", lambda: host)
    monkeypatch.setattr(setup, "ENVIRONMENT", tmp_path / "venv")
    monkeypatch.setattr(environment.Environment, "complete", lambda *_: True)
    monkeypatch.setattr(doctor, "has_accelerator", lambda _: False)
    first, *others = PUBLISHED_FILES
    (tmp_path / "models" / first.folder).mkdir(parents=True)
    (tmp_path / "models" / first.folder / first.name).write_bytes(bytes(1_200_000))
    assert commands.main(["doctor", "--base", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert f"found    {tmp_path / 'models' / first.folder / first.name} (1.2 MB)" in said
    for file in others:
        told = f"  missing  {file.folder}/{file.name} ({file.size})\n           {file.purpose}\n"
        assert f"{told}           from {file.source}; licence: {file.licence}\n" in said
        assert file.url in said
    ready = said.partition("Ready to run: ")[2]
    assert "  Paint a clip from a few frames\n" in ready and "ToonCrafter" not in ready
    monkeypatch.setattr(doctor, "locate_host", lambda: None)
    assert commands.main(["doctor"]) == 1
    assert "none yet; 0.30.0 will be fetched into" in capsys.readouterr().out


def test_doctor_tells_what_a_workflow_needs(tmp_path, monkeypatch, capsys):
    host = Host(tmp_path / "tree", "cache")
    monkeypatch.setattr(doctor, "locate_host", lambda: host)
    monkeypatch.setattr(environment.Environment, "complete", lambda *_: True)
    monkeypatch.setattr(doctor, "has_accelerator", lambda _: False)
    name = "ToonCrafter guided by sketches.json"
    for folder in ("workflows", "workflows/api"):  # both formats
        assert commands.main(["doctor", "--base", str(tmp_path), "--workflow", str(commands.PACK / folder / name)]) == 0
        said = capsys.readouterr().out
        for file in (TOONCRAFTER, SKETCH_ENCODER):
            assert f"  missing  {file.folder}/{file.name} ({file.size})\n" in said
            assert f"licence: {file.licence}\n           {file.url}\n" in said
        assert "2 of 2 are missing." in said and SUPERPOINT.name not in said
    graph = tmp_path / "mine.json"
    graph.write_text('{"1": {"class_type": "LoraLoader", "inputs": {"lora_name": "sub/mine.safetensors"}}}')
    assert commands.main(["doctor", "--base", str(tmp_path), "--workflow", str(graph)]) == 0
    assert "other    sub/mine.safetensors" in capsys.readouterr().out
    graph.write_text('{"1": {"class_type": "EmptyImage", "inputs": {}}}')
    assert commands.main(["doctor", "--base", str(tmp_path), "--workflow", str(graph)]) == 0
    assert "needs no model file\nIt is ready to run." in capsys.readouterr().out
    assert commands.main(["doctor", "--workflow", str(tmp_path / "nothing.json")]) == 2


@pytest.mark.parametrize("version", [(3, 9, 18), (3, 14, 0)])
def test_another_python_goes_on_where_this_one_cannot(monkeypatch, version, capsys):
    monkeypatch.setattr(sys, "version_info", (*version, "final", 0))
    monkeypatch.setattr(sys, "argv", ["betwixt.py", "doctor"])
    monkeypatch.setattr(shutil, "which", lambda name: f"/found/{name}" if name != "python3.12" else None)
    monkeypatch.setattr(subprocess, "call", lambda command, **_: 0 if command[1:] == ["-c", ""] else 5)
    gone_on = []

    def become(path, command):
        gone_on.append((path, command))
        raise SystemExit(5)

    monkeypatch.setattr(os, "execv", become)
    with pytest.raises(SystemExit, match="5"):
        launcher.use_supported_python()
    assert gone_on == [("/found/python3.11", ["/found/python3.11", launcher.__file__, "doctor"])]
    assert "is not supported; going on with /found/python3.11" in capsys.readouterr().out
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(SystemExit, match="needs Python 3.10 to 3.13; this is Python 3"):
        launcher.use_supported_python()


def test_the_entry_needs_no_installed_package():
    command = [sys.executable, "-I", "-S", str(commands.PACK / "betwixt.py"), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "demo | test | run | serve | doctor" in done.stdout

"""What a server, a disk or a killed launcher can do to a command: promised exit codes, nothing written elsewhere."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import types
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest
from betwixt.launcher import commands, run
from betwixt.launcher import demo as demo_module
from betwixt.launcher.client import Client
from betwixt.launcher.failures import ExecutionFailed, Failure, UntrustedNames, UsageMistake
from betwixt.launcher.folders import PACK, TIED
from betwixt.launcher.output_files import OutputFile, is_plain_name, output_files
from betwixt.launcher.server import Server

from tests.launcher.test_server import ANSWERS

OUTSIDE = ("../../x.png", "/etc/x.png", "..", ".", "", "a/b.png", "..\\x.png", "C:\\x.png", "x\0.png", "x\n.png")


@pytest.fixture
def views():
    """A server that answers everything with a few bytes."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"content")

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", ["output", "temp"])
def test_names_that_lead_elsewhere_are_refused_and_the_others_written(views, tmp_path, kind):
    files = [OutputFile("1", name, "", kind, "images") for name in ("a.png", *OUTSIDE, "b.png")]
    out = tmp_path / "deep" / "out"
    with Client(views) as client, pytest.raises(UntrustedNames, match=r"10 output files.*'\.\./\.\./x\.png'.*other 2"):
        client.fetch_all(files, out)
    prefix = "deep/out/previews/" if kind == "temp" else "deep/out/"
    assert everything(tmp_path) == {f"{prefix}a.png", f"{prefix}b.png"}
    assert UntrustedNames.exit_code == 5


def test_usual_names_are_taken():
    for name in ("ComfyUI_00001_.png", "가나.mp4", "a b (1).webp", ".hidden", "x..y.png"):
        assert is_plain_name(name)


def test_entries_that_are_no_files_are_left_out():
    outputs = {"1": {"images": [{"filename": 3}, {"filename": None}, "x", {"filename": "a.png"}], "text": "b"}}
    assert [file.filename for file in output_files(outputs)] == ["a.png"]


def test_a_file_that_appears_meanwhile_is_kept(views, tmp_path, monkeypatch):
    """Two runs fetch into one folder: the second finds the name taken only when it opens the file."""
    (tmp_path / "a.png").write_bytes(b"of another run")
    monkeypatch.setattr(Path, "exists", lambda path: False)
    with Client(views) as client:
        (path,) = client.fetch_all([OutputFile("1", "a.png", "", "output", "images")], tmp_path)
    assert path.name == "a-2.png" and path.read_bytes() == b"content"
    assert (tmp_path / "a.png").read_bytes() == b"of another run"


def test_what_failed_first_gives_the_exit_code(tmp_path, capsys):
    class Fake:
        def run(self, *_):
            raise ExecutionFailed("p", {"node_id": "1", "exception_message": "first"})

        def history(self, _):
            return {"outputs": {}}

        def fetch_all(self, *_):
            raise Failure("disk full")

    with pytest.raises(ExecutionFailed, match="first"):
        run.run_graph(Fake(), {}, tmp_path)
    assert "disk full" in capsys.readouterr().out


GRAPH = {"1": {"class_type": "EmptyImage", "inputs": {}}}


@pytest.mark.parametrize("command", ["run", "demo"])
@pytest.mark.parametrize("place", ["file", "file/below", "/proc/betwixt"])
def test_an_unusable_out_is_refused_before_anything_starts(tmp_path, monkeypatch, capsys, command, place):
    if place.startswith("/proc") and not Path("/proc/self").exists():
        pytest.skip("no /proc here")
    monkeypatch.setattr(commands, "prepare", lambda **_: pytest.fail("was set up"))
    (tmp_path / "file").write_text("mine")
    (tmp_path / "graph.json").write_text(json.dumps(GRAPH))
    arguments = [command, *([str(tmp_path / "graph.json")] if command == "run" else []), "--out", str(tmp_path / place)]
    assert commands.main(arguments) == UsageMistake.exit_code
    assert "nothing can be written there" in capsys.readouterr().out
    assert (tmp_path / "file").read_text() == "mine"


def test_a_usable_out_is_not_made_by_the_check(tmp_path):
    commands.require_writable(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []


def test_a_full_temporary_folder_is_told(tmp_path, monkeypatch, capsys):
    def full(*_, **__):
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(commands, "check", lambda args: None)
    monkeypatch.setattr(commands, "prepare", lambda **_: full())
    monkeypatch.setattr(tempfile, "gettempdir", full)
    assert commands.main(["demo"]) == 1
    said = capsys.readouterr().out
    assert "No usable temporary directory" in said and "TMPDIR" in said


FULL_DISK = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # as a full disk: files can be made, nothing can be written
import betwixt
from betwixt.launcher import commands
from betwixt.launcher.host_tree import Host
from pathlib import Path
commands.check = lambda args: None
sys.exit(commands.main(["inside", "/nowhere", "/nowhere", *sys.argv[1:]]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="uses a limit of POSIX")
@pytest.mark.parametrize("command", ["run", "demo"])
def test_a_full_disk_has_no_traceback(tmp_path, command):
    (tmp_path / "graph.json").write_text(json.dumps(GRAPH))
    arguments = [command, *([str(tmp_path / "graph.json")] if command == "run" else []), "--out", str(tmp_path / "out")]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, *arguments], cwd=PACK, env=environment, capture_output=True, text=True
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    assert done.returncode == 1 and "betwixt.py: " in done.stdout, done.stdout


KILLED = """
import sys, time
import betwixt
from pathlib import Path
from betwixt.launcher.server import Server
server = Server(Path(sys.argv[1]), cpu=True).start()
print(server.process_id, flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kills by a signal of POSIX")
def test_a_killed_launcher_ends_its_server(tmp_path):
    (tmp_path / "main.py").write_text(ANSWERS)
    launcher = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], cwd=PACK, stdout=subprocess.PIPE, text=True
    )
    server = psutil.Process(int(launcher.stdout.readline()))
    assert server.is_running()
    launcher.send_signal(signal.SIGKILL)
    launcher.wait()
    launcher.stdout.close()
    assert psutil.wait_procs([server], timeout=10)[1] == [] or server.status() == psutil.STATUS_ZOMBIE


def test_a_tied_program_runs_as_by_itself(tmp_path):
    program = "import json, os, sys; print(json.dumps([__name__, sys.argv, sys.path[0], os.read(0, 1).decode()]))"
    (tmp_path / "main.py").write_text(program + "; raise SystemExit(7)")
    command = [sys.executable, str(TIED), str(tmp_path / "main.py"), "--port", "1"]
    done = subprocess.run(command, stdin=subprocess.PIPE, capture_output=True, text=True, input=None)
    assert done.returncode in (1, 7)  # its input is at an end at once: either may come first
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    told = json.loads(process.stdout.readline())
    assert process.wait() == 7
    process.stdin.close()
    process.stdout.close()
    assert told == ["__main__", [str(tmp_path / "main.py"), "--port", "1"], str(tmp_path), ""]


def test_the_second_stage_runs_tied(tmp_path):
    """As on Windows, where the first stage stays and must not be outlived."""
    command = [
        sys.executable,
        str(TIED),
        str(PACK / "betwixt.py"),
        "inside",
        str(tmp_path),
        str(tmp_path),
        "run",
        "--help",
    ]
    done = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path)
    said = done.stdout.read()
    assert done.wait() == 0 and "queue" not in said.split("usage:")[0] and "--server" in said
    done.stdin.close()
    done.stdout.close()


def test_a_stopped_server_leaves_no_pipe(tmp_path):
    (tmp_path / "main.py").write_text(ANSWERS)
    before = psutil.Process().num_fds() if hasattr(psutil.Process, "num_fds") else 0
    with Server(tmp_path, cpu=True):
        pass
    assert (psutil.Process().num_fds() if hasattr(psutil.Process, "num_fds") else 0) == before


def test_two_demos_into_one_folder_find_only_whole_files(tmp_path, monkeypatch):
    """Every file of the result comes into its place complete; what is in the making is elsewhere on the same disk."""
    import contextlib

    moved, replace = [], Path.replace

    def watched(path, target):
        moved.append((Path(path), Path(target)))
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", watched)
    monkeypatch.setattr(demo_module, "server_address", lambda *_: contextlib.nullcontext("http://127.0.0.1:9"))
    monkeypatch.setattr(Client, "upload", lambda self, path: path.name)
    out = tmp_path / "out"
    began = time.monotonic()
    for _ in range(2):
        demo_module.demo(types.SimpleNamespace(out=out), tmp_path, ())
    assert time.monotonic() - began < 120
    assert sorted(path.name for path in out.iterdir()) == ["contact-sheet.png", "input"]
    written = {path for path in out.rglob("*") if path.is_file()}
    assert {target for _, target in moved} == written
    assert all(
        path.parent.name.startswith(".demo-") or path.parent.parent.name.startswith(".demo-") for path, _ in moved
    )

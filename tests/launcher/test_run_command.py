"""``betwixt.py run`` as a process: its exit codes and messages, on a running server and on its own."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import psutil
import pytest
from betwixt.launcher.client import Client
from betwixt.launcher.folders import PACK
from betwixt.launcher.host_tree import find_host

from tests.launcher.graphs import PICTURES, long_graph

pytestmark = pytest.mark.server
NEEDED = ("__init__.py", "betwixt.py", "pyproject.toml", "common", "launcher", "nodes")
CORES = ("fcvg_core", "tooncrafter_core", "rerender_core")


def start(graph: dict, folder, *arguments: str, pack=PACK) -> subprocess.Popen:
    """The command's second stage, in the Python that runs the tests; the first one only prepares that Python."""
    (folder / "graph.json").write_text(json.dumps(graph))
    command = [sys.executable, str(pack / "betwixt.py"), "inside", str(find_host()), str(folder / "base")]
    command += ["run", "graph.json", "--out", "out", *arguments]
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, cwd=folder, env={**os.environ, "PYTHONUNBUFFERED": "1"}, **output)


def finish(process: subprocess.Popen) -> tuple[int, str]:
    said, _ = process.communicate(timeout=120)
    assert "Traceback (most recent call last)" not in said, said
    return process.returncode, said


def wait_for(process: subprocess.Popen, text: str) -> str:
    said = ""
    while text not in said:
        line = process.stdout.readline()
        assert line, said
        said += line
    return said


def test_success(server, tmp_path):
    (tmp_path / "mine.png").write_bytes((server.base / "input" / "betwixt_start.png").read_bytes())
    graph = {
        **PICTURES,
        "8": {"class_type": "LoadImage", "inputs": {"image": "nothing.png"}, "_meta": {"title": "Mine"}},
    }
    graph["9"] = {"class_type": "SaveImage", "inputs": {"images": ["8", 0], "filename_prefix": "mine"}}
    code, said = finish(start(graph, tmp_path, "--server", server.url, "--set", "Mine.image=mine.png"))
    assert code == 0, said
    assert "] Mine  " in said and "Done in" in said
    written = sorted((tmp_path / "out").glob("*.png"))
    assert [path.name.split("_")[0] for path in written] == ["launcher", "mine"]
    assert all(f"Wrote {path}" in said.replace("Wrote out", f"Wrote {tmp_path / 'out'}") for path in written)
    assert (server.base / "input" / "mine.png").exists()


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ("1.width=-1", 3, "node 1 (EmptyImage): Value -1 smaller than min of 1: width"),
        ("1.witdh=5", 2, "node 1 has no input 'witdh'. It has: width, height"),
        ("8.image=nowhere.png", 2, "The input file 'nowhere.png' of node 8 (LoadImage) was not found in"),
        ("8.image=broken.png", 4, "Node 8 (LoadImage) failed: UnidentifiedImageError: cannot identify image file"),
    ],
)
def test_failures_have_their_own_code_and_the_servers_words(server, tmp_path, change, code, message):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    graph = {**PICTURES, "8": {"class_type": "LoadImage", "inputs": {"image": "betwixt_start.png"}}}
    graph["9"] = {"class_type": "PreviewImage", "inputs": {"images": ["8", 0]}}
    found, said = finish(start(graph, tmp_path, "--server", server.url, "--set", change))
    assert found == code and message in said, said


def test_outputs_finished_before_a_failure_are_fetched(server, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no picture at all")
    graph = {"8": {"class_type": "LoadImage", "inputs": {"image": "broken.png"}}, **PICTURES}
    graph["7"] = {"class_type": "ImageBatch", "inputs": {"image1": ["1", 0], "image2": ["8", 0]}}
    graph["9"] = {"class_type": "PreviewImage", "inputs": {"images": ["7", 0]}}
    graph["8"]["inputs"]["image"] = "broken.png"
    with Client(server.url) as client:
        client.run(PICTURES, timeout=60)  # cached outputs come first
    code, said = finish(start(graph, tmp_path, "--server", server.url))
    assert code == 4 and "Node 8" in said, said
    assert list((tmp_path / "out").rglob("launcher*.png")), said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_interrupts_the_prompt(server, tmp_path, number):
    process = start(long_graph(seed=number), tmp_path, "--server", server.url)
    wait_for(process, "/152] ImageBlur")
    process.send_signal(number)
    code, said = finish(process)
    assert code == 130 and "The workflow was interrupted." in said, said
    with Client(server.url) as client:
        queue = client.get("/queue")
        assert queue["queue_running"] == queue["queue_pending"] == []
        *_, last = client.get("/history").values()
    assert last["status"]["messages"][-1][0] == "execution_interrupted"


def test_no_server_at_the_address(tmp_path):
    code, said = finish(start(PICTURES, tmp_path, "--server", "127.0.0.1:9"))
    assert code == 5 and "No answer from the server at http://127.0.0.1:9" in said


def test_an_own_server_that_dies_is_told_and_any_folder_name_will_do(tmp_path):
    pack = tmp_path / "Betwixt, v1.2 (copy) - ü"
    pack.mkdir()
    for name in (*NEEDED, *CORES):
        copy = shutil.copytree if (PACK / name).is_dir() else shutil.copyfile
        copy(PACK / name, pack / name)
    process = start(long_graph(), tmp_path, pack=pack)
    said = wait_for(process, "/152] ImageBlur")
    assert "ComfyUI is ready after" in said
    (server,) = [child for child in psutil.Process(process.pid).children() if "main.py" in " ".join(child.cmdline())]
    server.kill()
    code, said = finish(process)
    assert code == 5 and "was lost while the workflow ran" in said and "The end of ComfyUI's log" in said, said
    deadline = time.monotonic() + 5
    while server.is_running() and server.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline

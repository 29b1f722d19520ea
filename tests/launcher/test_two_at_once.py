"""Two launchers at the same time: two checkouts that share the cache, and two demos of one checkout."""

import subprocess
import sys
import time

import pytest
from betwixt.launcher.folders import PACK

SET_UP = """
import sys, time
import betwixt
from pathlib import Path
from betwixt.launcher import host_tree, setup

class Environment:
    folder, pip = "none", None
    def complete(self, host, tests):
        return False
    def make(self):
        time.sleep(0.5)  # the other one comes meanwhile
    drop_half_installed = install_torch = repair_and_check = compile_kernels = lambda self: None
    install_requirements = finish = lambda self, *_: None

def download(pip, folder, release):
    print("fetching", flush=True)
    assert len(list(folder.parent.glob(".fetch-*"))) == 1, "two at once"
    return folder

def unpack(archive, tree, release):
    tree.mkdir()
    (tree / "main.py").touch()
    time.sleep(0.3)
    (tree / "comfyui_version.py").write_text(f'__version__ = "{release.version}"')
    return tree

host_tree.download, host_tree.unpack = download, unpack
print("begin", flush=True)
sys.stdin.readline()
host = setup.set_up(Environment(), host_tree.locate_host(), False)
assert host.version == host_tree.VERSION and host.origin == "cache", host
print("ready", flush=True)
"""
DEMO = """
import contextlib, sys, types
import betwixt
from pathlib import Path
from betwixt.launcher import demo
from betwixt.launcher.client import Client

demo.server_address = lambda *_: contextlib.nullcontext("http://127.0.0.1:9")
Client.upload = lambda self, path: path.name
print("begin", flush=True)
sys.stdin.readline()
demo.demo(types.SimpleNamespace(out=Path(sys.argv[1])), Path(sys.argv[1]), ())
"""


def both(script: str, *arguments: str, **environment: str) -> list[str]:
    """What two processes print that go on at the same moment; both must end well."""
    command = [sys.executable, "-c", script, *arguments]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    running = [subprocess.Popen(command, cwd=PACK, env=environment or None, **pipes) for _ in range(2)]
    try:
        for process in running:
            assert process.stdout.readline() == "begin\n"
        for process in running:
            process.stdin.write("\n")
            process.stdin.flush()
        printed = [process.communicate(timeout=120)[0] for process in running]
    finally:
        for process in running:
            process.kill()
    assert [process.returncode for process in running] == [0, 0], printed
    return printed


def test_two_checkouts_fetch_into_one_cache_once(tmp_path):
    printed = both(SET_UP, BETWIXT_CACHE=str(tmp_path), PATH="/usr/bin:/bin")
    assert sorted(text.count("fetching\n") for text in printed) == [0, 1]
    assert sorted("waiting for it to finish" in text for text in printed) == [False, True]
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == [
        path.name for path in tmp_path.glob("ComfyUI-*")
    ]


@pytest.mark.long
def test_two_demos_write_one_folder_together(tmp_path):
    began = time.monotonic()
    both(DEMO, str(tmp_path))
    assert time.monotonic() - began < 240
    assert sorted(path.name for path in tmp_path.iterdir()) == ["contact-sheet.png", "input"]
    assert (tmp_path / "contact-sheet.png").read_bytes().endswith(b"IEND\xaeB`\x82")

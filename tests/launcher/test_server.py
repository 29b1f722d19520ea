"""Starting, failing and stopping of the embedded server, with stand-ins for ComfyUI that take no time."""

import os
import socket
import sys
import time

import pytest
from betwixt.launcher.failures import ServerLost, UsageMistake
from betwixt.launcher.folders import PACK
from betwixt.launcher.server import Server, free_port, port_is_free

ANSWERS = f"""
import http.server, json, os, sys
sys.argv.append("")
option = lambda name: sys.argv[sys.argv.index(name) + 1]
print("   0.1 seconds{{}}: {PACK}".format(os.environ.get("MARK", "")))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({{"argv": sys.argv, "environment": dict(os.environ)}}).encode()
        self.send_response(200); self.end_headers(); self.wfile.write(body)
http.server.HTTPServer(("127.0.0.1", int(option("--port"))), Handler).serve_forever()
"""


@pytest.fixture
def fake_host(tmp_path):
    def write(code: str):
        (tmp_path / "host").mkdir()
        (tmp_path / "host" / "main.py").write_text(code)
        return tmp_path / "host"

    return write


def test_a_server_that_dies_is_told_with_the_end_of_its_log(fake_host):
    host = fake_host("print('one'); print('torch and torchaudio disagree'); raise SystemExit(7)")
    with pytest.raises(ServerLost, match="(?s)stopped while starting .exit status 7.*torch and torchaudio disagree"):
        Server(host, cpu=True).start()


def test_a_server_that_never_answers(fake_host):
    server = Server(fake_host("import time; print('thinking', flush=True); time.sleep(60)"), cpu=True, ready_timeout=1)
    with pytest.raises(ServerLost, match="(?s)did not answer within 1 s.*thinking"):
        server.start()
    assert not server.alive


def test_a_pack_that_cannot_be_imported_is_told(fake_host, monkeypatch):
    monkeypatch.setenv("MARK", " (IMPORT FAILED)")
    with pytest.raises(ServerLost, match="could not load the pack"):
        Server(fake_host(ANSWERS), cpu=True).start()


def test_a_wanted_port_that_is_in_use_is_refused_with_another_one(fake_host):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(UsageMistake, match=rf"Port {port} on 127.0.0.1 is in use.*--port \d+") as refusal:
            Server(fake_host(ANSWERS), port=port, cpu=True).start()
        assert port_is_free(int(str(refusal.value).rsplit(" ", 1)[1].rstrip(".")))


def test_a_free_port_that_is_taken_meanwhile_is_replaced(fake_host):
    """The stand-in's first start says what ComfyUI says when somebody else was quicker to take the port."""
    taken = """
import pathlib
mark = pathlib.Path(__file__).with_name("tried")
if not mark.exists():
    mark.touch()
    raise SystemExit("OSError: [Errno 98] error while attempting to bind on address: address already in use")
"""
    with Server(fake_host(taken + ANSWERS), cpu=True) as server:
        assert server.alive


def test_what_the_server_is_started_with_and_that_nothing_is_left(fake_host, tmp_path, monkeypatch):
    from betwixt.launcher.client import Client

    monkeypatch.setenv("PYTHONPATH", str(PACK))  # would hide the host's module 'nodes'
    port = free_port()
    (tmp_path / "mine" / "loras").mkdir(parents=True)
    before = time.monotonic()
    with Server(fake_host(ANSWERS), models=[tmp_path / "mine"], port=port, cpu=True, threads=1) as server:
        assert server.url == f"http://127.0.0.1:{port}" and 0 < server.ready_seconds < time.monotonic() - before
        told = Client(server.url).get("/")
        scratch, process = server.base.parent, server.process_id
        paths = (scratch / "search_paths.yaml").read_text()
        assert sorted(path.name for path in server.base.iterdir()) == sorted(
            ("models", "custom_nodes", "input", "output", "temp", "user")
        )
    assert "PYTHONPATH" not in told["environment"] and told["environment"]["OMP_NUM_THREADS"] == "1"
    assert "--cpu" in told["argv"] and f"--whitelist-custom-nodes={PACK.name}" in told["argv"]
    assert "--disable-all-custom-nodes" in told["argv"] and "sqlite:///:memory:" in told["argv"]
    for name in ("loras", "betwixt", "dwpose"):
        assert str(tmp_path / "mine" / name) in paths
    assert not scratch.exists() and port_is_free(port)
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
    server.stop()  # a second time does no harm


def test_a_given_base_and_log_outlive_the_server(fake_host, tmp_path):
    with Server(fake_host(ANSWERS), tmp_path / "base", log=tmp_path / "server.log", cpu=True, python=sys.executable):
        pass
    assert (tmp_path / "base" / "input").is_dir() and "0.1 seconds" in (tmp_path / "server.log").read_text()

"""``run --server``: with nothing but Python, and against servers that want credentials."""

import base64
import http.server
import json
import subprocess
import sys
import threading

import pytest
from betwixt.launcher import commands
from betwixt.launcher.client import Client
from betwixt.launcher.failures import ServerRefused, UsageMistake
from betwixt.launcher.run import read_headers, report
from betwixt.launcher.server_address import split_credentials, without_secrets

from tests.launcher.graphs import PICTURES


@pytest.mark.server
def test_a_graph_runs_on_a_server_with_nothing_but_python(server, tmp_path):
    graph = {**PICTURES, "1": {**PICTURES["1"], "inputs": {**PICTURES["1"]["inputs"], "color": 4711}}}  # not cached
    (tmp_path / "graph.json").write_text("\ufeff" + json.dumps({"prompt": graph, "client_id": "me"}), "utf-8")
    command = [sys.executable, "-I", "-S", str(commands.PACK / "betwixt.py"), "run", "graph.json"]
    command += ["--server", server.url, "--out", "out"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Wrote 3 previews: " in done.stdout and done.stdout.count("Wrote ") == 2
    assert len(list((tmp_path / "out").rglob("*.png"))) == 4


def test_a_wrong_graph_is_refused_with_nothing_but_python(tmp_path):
    command = [sys.executable, "-I", "-S", str(commands.PACK / "betwixt.py"), "run", "nothing.json", "--server", "x"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=60)
    assert done.returncode == 2 and "nothing.json cannot be read" in done.stdout


@pytest.fixture
def guarded():
    """A server behind a login: the address, and the headers it was asked with."""
    asked = []

    class Guard(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(dict(self.headers))
            if self.path.startswith("/login"):
                body, status, kind = b"<!doctype html><html><body>Sign in</body></html>", 200, "text/html"
            elif self.headers.get("Authorization") or self.headers.get("X-Token"):
                body, status, kind = b"{}", 200, "application/json"
            else:
                body, status, kind = b"no", 401, "text/plain"
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Guard)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_address[1]}", asked
    server.shutdown()
    server.server_close()


def test_credentials_are_sent_and_never_shown(guarded):
    place, asked = guarded
    client = Client(f"http://ann:s%40cret@{place}/")
    assert client.get("/queue") == {} and client.url == f"http://{place}"
    assert asked[-1]["Authorization"] == "Basic " + base64.b64encode(b"ann:s@cret").decode()
    assert Client(place, headers={"X-Token": "t"}).get("/queue") == {} and asked[-1]["X-Token"] == "t"
    with pytest.raises(ServerRefused, match="HTTP status 401; it wants credentials.*--header") as refusal:
        Client(place).get("/queue")
    assert refusal.value.exit_code == 5


def test_a_login_page_instead_of_an_answer_is_told(guarded):
    with pytest.raises(ServerRefused, match="a web page, probably a login.*--header") as refusal:
        Client(guarded[0]).get("/login")
    assert refusal.value.exit_code == 5


def test_a_command_behind_a_login_ends_with_the_promised_code(guarded, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "graph.json").write_text(json.dumps(PICTURES))
    assert commands.main(["run", "graph.json", "--server", f"http://ann:secret@{guarded[0]}/login"]) == 5
    said = capsys.readouterr().out
    assert "probably a login" in said and "secret" not in said


@pytest.mark.parametrize("url", ["ftp://me:pw@host", "http://", "http://me:pw@host:port", "http://me:pw@h:99999"])
def test_other_addresses_are_refused_without_their_password(url):
    with pytest.raises(UsageMistake, match="expected an address such as") as refusal:
        split_credentials(url)
    assert "pw" not in str(refusal.value) and without_secrets("http://a:b@c/d") == "http://c/d"


def test_headers_are_names_and_values():
    assert read_headers(["Authorization: Bearer a:b", "X-Token:t"]) == {"Authorization": "Bearer a:b", "X-Token": "t"}
    for wrong in ("token", "two words: x", ": x", "A: b\nC: d"):
        with pytest.raises(UsageMistake, match="expected 'NAME: VALUE'") as refusal:
            read_headers([wrong])
        assert "two words" not in str(refusal.value)


def test_no_arguments_show_the_help(capsys, monkeypatch):
    monkeypatch.setattr(commands, "prepare", lambda **_: pytest.fail("the set-up was started"))
    assert commands.main([]) == 0
    assert "demo | test | run | serve | doctor" in capsys.readouterr().out


def test_a_batch_of_previews_is_one_line(tmp_path, capsys):
    previews = [tmp_path / "previews" / f"a_{number}.png" for number in range(25)]
    report([tmp_path / "clip.mp4", *previews, tmp_path / "b.png"])
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        f"Wrote {tmp_path / 'clip.mp4'}",
        f"Wrote 25 previews: {previews[0]} ... a_24.png",
        f"Wrote {tmp_path / 'b.png'}",
    ]

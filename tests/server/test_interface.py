"""What the interface asks the server for: schemas, help pages, texts, templates."""

import io
import json
import urllib.error
import urllib.parse
import urllib.request

import pytest
from PIL import Image

from support.bootstrap import ROOT
from support.workflow_files import NAMES, WORKFLOWS

pytestmark = pytest.mark.server
FOLDER = ROOT.name
PAGES = sorted(path.stem for path in (ROOT / "web" / "docs").glob("*.md"))


def fetch(server, path: str) -> bytes:
    with urllib.request.urlopen(server.url + urllib.parse.quote(path), timeout=30) as answer:
        return answer.read()


def test_the_server_lists_every_node_of_the_pack_and_no_other_pack(client):
    listed = client.object_info()
    ours = {name for name, info in listed.items() if info["python_module"] == f"custom_nodes.{FOLDER}"}
    assert PAGES and ours == set(PAGES)
    assert {name for name in listed if name.startswith("Betwixt")} == ours
    assert {info["python_module"] for info in listed.values() if info["python_module"].startswith("custom_nodes")} == {
        f"custom_nodes.{FOLDER}"
    }


@pytest.mark.parametrize("page", PAGES)
def test_help_page_is_served(server, page):
    assert fetch(server, f"/extensions/{FOLDER}/docs/{page}.md") == (ROOT / "web" / "docs" / f"{page}.md").read_bytes()


def test_no_script_is_loaded_into_the_interface(server):
    assert [path for path in json.loads(fetch(server, "/extensions")) if f"/{FOLDER}/" in path] == []


@pytest.mark.parametrize("language", ["en", "ko", "zh"])
def test_texts_are_served(client, language):
    stored = json.loads((ROOT / "locales" / language / "nodeDefs.json").read_text(encoding="utf-8"))
    assert client.get("/i18n")[language]["nodeDefs"] == stored


def test_workflows_are_templates_with_thumbnails(client, server):
    assert sorted(client.get("/workflow_templates")[FOLDER]) == NAMES
    for name in NAMES:
        served = fetch(server, f"/api/workflow_templates/{FOLDER}/{name}.json")
        assert served == (WORKFLOWS / f"{name}.json").read_bytes()
        picture = fetch(server, f"/api/workflow_templates/{FOLDER}/{name}.jpg")
        assert len(picture) <= 60_000 and Image.open(io.BytesIO(picture)).size == (640, 360)


def test_a_missing_page_is_a_plain_404(server):
    with pytest.raises(urllib.error.HTTPError, match="404"):
        fetch(server, f"/extensions/{FOLDER}/docs/BetwixtNothing.md")

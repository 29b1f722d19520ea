"""What a new user does, on a ComfyUI that has the pack and nothing else: no model, no picture, no setting.

What was counted is left in .out/first_click.json.
"""

import json
import time

import pytest
from betwixt.common.files.published_files import PUBLISHED_FILES, files_named_in
from betwixt.launcher.client import Client
from betwixt.launcher.host_tree import find_host
from betwixt.launcher.server import Server
from betwixt.launcher.starters import STARTERS, write_templates

from support.bootstrap import ROOT
from support.frontend import Frontend
from support.workflow_files import NAMES, api_graph, ui_workflow

pytestmark = pytest.mark.frontend
OUT = ROOT / ".out"
SCREEN = {"width": 1600, "height": 900}
STARTER = "Betwixt 2 EbSynth - paint a clip, no model"
WEIGHT_FREE = [name for name in NAMES if not files_named_in(api_graph(name))]
MISSING = """() => {
  const stores = document.querySelector('#vue-app').__vue_app__.config.globalProperties.$pinia.state.value
  const names = list => (list ?? []).filter(item => item.isMissing !== false).map(item => item.name)
  const {missingModel, missingMedia} = stores
  return {models: names(missingModel.missingModelCandidates), media: names(missingMedia.missingMediaCandidates)}
}"""
SEARCH = """text => {
  const stores = document.querySelector('#vue-app').__vue_app__.config.globalProperties.$pinia._s
  return stores.get('nodeDef').nodeSearchService.searchNode(text, []).slice(0, 12).map(node => node.name)
}"""


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """A server on an empty folder whose name has a space and letters beyond ASCII."""
    scratch = tmp_path_factory.mktemp("new")
    templates = write_templates(scratch / "templates")
    with Server(find_host(), scratch / "neuer Gastgeber 新", cpu=True, threads=1, templates=templates) as server:
        yield server


@pytest.fixture(scope="module")
def page(fresh):
    with Frontend(fresh.url) as frontend:
        frontend.page.set_viewport_size(SCREEN)
        frontend.page.wait_for_timeout(2000)  # whoever comes first is shown the templates
        frontend.page.keyboard.press("Escape")
        yield frontend


def record(**facts) -> None:
    path = OUT / "first_click.json"
    path.parent.mkdir(exist_ok=True)
    known = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(known | facts, indent=1, ensure_ascii=False))


def wait_until_idle(server, seconds: float = 120) -> dict:
    """The history record of the last prompt once nothing runs or waits."""
    client, deadline = Client(server.url), time.monotonic() + seconds
    while time.monotonic() < deadline:
        queue, history = client.get("/queue"), client.get("/history")
        if history and not queue["queue_running"] and not queue["queue_pending"]:
            return list(history.values())[-1]
        time.sleep(0.1)
    raise AssertionError("the graph did not end")


def run(frontend, server) -> dict:
    """Press Run; the record of the prompt."""
    before = set(Client(server.url).get("/history"))
    frontend.page.get_by_role("button", name="Run", exact=True).first.click()
    deadline = time.monotonic() + 30
    while not set(Client(server.url).get("/history")) - before:
        queue = Client(server.url).get("/queue")
        assert queue["queue_running"] or queue["queue_pending"] or time.monotonic() < deadline, frontend.dialogs()
        time.sleep(0.1)
    return wait_until_idle(server)


def test_from_an_empty_host_to_a_clip(fresh):
    """Serve opens on the starters by itself: two clicks to the first result."""
    began = time.monotonic()
    with Frontend(fresh.url) as frontend:
        frontend.page.set_viewport_size(SCREEN)
        dialog = frontend.page.locator("[role=dialog]").first
        dialog.wait_for(timeout=30_000)
        shown = dialog.inner_text()
        assert "No templates found" not in shown and STARTERS[0].name in shown
        frontend.page.screenshot(path=OUT / "first_click_templates.png")
        dialog.get_by_text(STARTER, exact=True).first.click()  # click 1: the template
        frontend.page.wait_for_function("() => app.graph._nodes.length > 3")
        dialog.wait_for(state="hidden")
        frontend.page.wait_for_timeout(1000)
        frontend.page.screenshot(path=OUT / "first_click_opened.png")
        opened = time.monotonic()
        result = run(frontend, fresh)  # click 2: Run
        assert result["status"]["status_str"] == "success"
        green = time.monotonic()
        frontend.page.locator("video").last.wait_for(timeout=10_000)
        frontend.page.wait_for_timeout(1000)
        frontend.page.screenshot(path=OUT / "first_click_result.png")
        nodes = frontend.page.evaluate("() => app.graph._nodes.filter(node => node.type !== 'MarkdownNote').length")
        record(
            clicks=2, seconds_to_green=round(green - began, 1), seconds_running=round(green - opened, 1), nodes=nodes
        )
        assert nodes <= 8


def test_the_way_of_an_existing_host_has_three_clicks(page, fresh):
    """Templates, the template, Run; the list is searched by a word in between."""
    page.page.keyboard.press("Escape")
    page.page.get_by_role("button", name="Templates").first.click()  # click 1
    dialog = page.page.locator("[role=dialog]").first
    dialog.wait_for(timeout=10_000)
    dialog.get_by_text("All Templates").first.wait_for()
    found = {}
    for word in ("betwixt", "ebsynth", "first last frame", "inbetween", "interpolate"):
        dialog.get_by_role("textbox").first.fill(word)
        page.page.wait_for_timeout(600)
        found[word] = [name for name in NAMES if name in dialog.inner_text()]
    record(template_search=found)
    assert [word for word, names in found.items() if not names] == []
    dialog.get_by_role("textbox").first.fill("ebsynth")
    dialog.get_by_text(STARTER, exact=True).first.click()  # click 2
    dialog.wait_for(state="hidden")
    assert run(page, fresh)["status"]["status_str"] == "success"  # click 3


@pytest.mark.parametrize("name", WEIGHT_FREE)
def test_a_weight_free_workflow_opens_and_runs_without_anything(page, fresh, name):
    page.load_workflow(ui_workflow(name))
    page.page.wait_for_timeout(500)
    page.page.screenshot(path=OUT / "opening" / f"{name}.png")
    assert page.page.evaluate(MISSING) == {"models": [], "media": []}
    result = run(page, fresh)
    assert result["status"]["status_str"] == "success", result["status"]


def test_the_missing_model_notice_lists_what_is_missing_and_nothing_else(page):
    table, wrong = ["| workflow | reported | actually missing |", "|---|---|---|"], []
    unscanned = {
        file.name for file in PUBLISHED_FILES if file.name.endswith(".tar")
    }  # no model's ending to the interface
    for name in NAMES:
        page.load_workflow(ui_workflow(name))
        page.page.wait_for_timeout(700)
        page.page.screenshot(path=OUT / "opening" / f"{name}.png")
        reported = page.page.evaluate(MISSING)
        actual = {file.name for file in files_named_in(api_graph(name))}
        table.append(f"| {name} | {len(set(reported['models']))} | {len(actual)} |")
        if set(reported["models"]) | (actual & unscanned) != actual or reported["media"]:
            wrong.append((name, reported, sorted(actual)))
    (OUT / "missing_models.md").write_text("\n".join(table) + "\n")
    assert wrong == []


WORDS = {
    "en": ("first last frame", "flf2v", "keyframe", "keyframes", "key frame", "morph", "tween", "frame interpolation"),
    "zh": ("补间", "插帧", "首尾帧", "关键帧"),
    "ko": ("중간 프레임", "보간", "동화", "키프레임"),
}


@pytest.mark.parametrize("locale", WORDS)
def test_nodes_are_found_by_the_words_people_type(page, locale):
    page.page.evaluate("(locale) => app.extensionManager.setting.set('Comfy.Locale', locale)", locale)
    page.page.wait_for_timeout(500)
    page.page.reload()
    page.page.wait_for_function("() => window.app?.graph && LiteGraph.registered_node_types.BetwixtMatchLines")
    page.page.wait_for_timeout(1500)
    found = {word: page.page.evaluate(SEARCH, word) for word in WORDS[locale]}
    record(**{f"search_{locale}": found})
    assert [word for word, names in found.items() if not any(name.startswith("Betwixt") for name in names)] == []


@pytest.mark.parametrize("node", ["BetwixtInterpolateConditions", "BetwixtStyliseClip", "BetwixtWeightFreeLineMatcher"])
def test_a_help_page_fits_its_panel(page, node):
    """Nothing is wider than the panel is as it opens, pictures and tables included."""
    page.page.evaluate(
        """(type) => {
          app.graph.clear()
          const node = LiteGraph.createNode(type)
          node.pos = [300, 200]
          app.graph.add(node)
          Object.assign(app.canvas.ds, {scale: 1, offset: [0, 0]})
          app.canvas.setDirty(true, true)
        }""",
        node,
    )
    page.page.wait_for_timeout(1000)
    page.page.mouse.click(420, 185)  # the node's title
    page.page.get_by_test_id("info-button").first.click()
    content = page.page.locator(".markdown-content").first
    content.locator("h2").first.wait_for()
    page.page.wait_for_timeout(1000)
    page.page.screenshot(path=OUT / "help" / f"{node}.png")
    wide = """panel => [panel, ...panel.querySelectorAll('table, img, pre')]
      .filter(part => part.scrollWidth > panel.clientWidth).map(part => part.tagName)"""
    assert content.evaluate(wide) == []

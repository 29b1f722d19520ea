"""What a new user does, on a ComfyUI that has the pack and nothing else: no model, no picture, no setting.

What was counted is left in .out/first_click.json, pictures of the page beside it.
"""

import json
import time

import pytest
from betwixt.common.files.published_files import PUBLISHED_FILES, files_named_in
from betwixt.launcher.host_tree import find_host
from betwixt.launcher.server import Server
from betwixt.launcher.starters import STARTERS, write_templates

from support.bootstrap import ROOT
from support.fresh_host import fresh_host
from support.frontend import Frontend
from support.visitor import READABLE_SCALE, Visitor
from support.workflow_files import NAMES, WEIGHT_FREE, api_graph, ui_workflow

pytestmark = pytest.mark.frontend
OUT = ROOT / ".out"
SERVED = "Betwixt 2 EbSynth - paint a clip, no model"
OUT_OF_SIGHT = """() => {
  const {clientWidth, clientHeight} = app.canvas.canvas, view = app.canvas.ds
  return app.graph._nodes.filter(node => {
    const [x, y, width, height] = node.boundingRect
    const [left, top] = [x + view.offset[0], y + view.offset[1]].map(at => at * view.scale)
    return left < 0 || top < 0
      || left + width * view.scale > clientWidth || top + height * view.scale > clientHeight
  }).map(node => node.title)
}"""
NOTHING = {"models": [], "media": [], "offered": []}
SEARCH = """text => {
  const stores = document.querySelector('#vue-app').__vue_app__.config.globalProperties.$pinia._s
  return stores.get('nodeDef').nodeSearchService.searchNode(text, []).slice(0, 12).map(node => node.name)
}"""


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """An empty folder whose name has a space and letters beyond ASCII."""
    return tmp_path_factory.mktemp("new") / "neuer Gastgeber 新"


@pytest.fixture(scope="module")
def installed(base):
    """A visitor of a ComfyUI that has a copy of the pack in custom_nodes and nothing else."""
    with fresh_host(base, threads=1) as server, Frontend(server.url) as frontend:
        visitor = Visitor(frontend, server.url)
        assert visitor.greeted(30)
        yield visitor


@pytest.fixture
def page(installed):
    return installed.frontend


def record(**facts) -> None:
    path = OUT / "first_click.json"
    path.parent.mkdir(exist_ok=True)
    known = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(known | facts, indent=1, ensure_ascii=False))


def test_serve_opens_on_the_starters_and_is_two_clicks_from_a_clip(tmp_path):
    templates = write_templates(tmp_path / "templates")
    with Server(find_host(), tmp_path / "base", cpu=True, threads=1, templates=templates) as server:
        began = time.monotonic()
        with Frontend(server.url) as frontend:
            visitor = Visitor(frontend, server.url)
            assert visitor.greeted(30)
            visitor.dialog.get_by_text(SERVED, exact=True).first.wait_for()
            assert "No templates found" not in visitor.dialog.inner_text()
            visitor.shot(OUT / "first_click_templates.png")
            visitor.open_template(SERVED)
            visitor.shot(OUT / "first_click_opened.png")
            assert visitor.sight()["nodes"] <= 8 and visitor.missing() == NOTHING
            assert visitor.run()["status"]["status_str"] == "success"
            frontend.page.locator("video").last.wait_for(timeout=10_000)
            record(clicks=visitor.clicks, seconds_to_clip=round(time.monotonic() - began, 1))
            frontend.page.wait_for_timeout(1000)
            visitor.shot(OUT / "first_click_result.png")
            assert visitor.clicks == 2


def test_templates_are_found_by_the_words_people_type(installed):
    dialog, found = installed.dialog, {}
    dialog.get_by_text("All Templates").first.click()
    for word in ("betwixt", "ebsynth", "first last frame", "inbetween", "interpolate"):
        dialog.get_by_role("textbox").first.fill(word)
        installed.page.wait_for_timeout(600)
        found[word] = [name for name in NAMES if name in dialog.inner_text()]
    record(template_search=found)
    dialog.get_by_role("textbox").first.fill("")
    assert [word for word, names in found.items() if not names] == []


FIRST = ("Betwixt 1", "Betwixt 2")


@pytest.mark.parametrize(
    "name", [name if name.startswith(FIRST) else pytest.param(name, marks=pytest.mark.long) for name in WEIGHT_FREE]
)
def test_a_weight_free_workflow_is_three_clicks_from_its_result(installed, name):
    """Templates (which greets who comes first), the template, Run; once more the pack among the extensions."""
    before = installed.clicks
    installed.open_template(name)
    installed.shot(OUT / "opening" / f"{name}.png")
    assert installed.missing() == NOTHING
    began = time.monotonic()
    assert installed.run()["status"]["status_str"] == "success"
    record(**{name: {"clicks": installed.clicks - before, "seconds of Run": round(time.monotonic() - began, 1)}})
    assert installed.clicks - before <= 4


@pytest.mark.parametrize("name", [starter.name for starter in STARTERS if starter.name.startswith("Betwixt")])
def test_a_starter_opens_whole_at_a_readable_zoom(installed, name):
    installed.open_template(name)
    installed.shot(OUT / "opening" / f"{name}.png")
    assert installed.scale() >= READABLE_SCALE
    assert installed.page.evaluate(OUT_OF_SIGHT) == []


def test_the_missing_model_notice_lists_what_is_missing_and_nothing_else(installed):
    table, wrong = ["| workflow | reported | actually missing |", "|---|---|---|"], []
    unscanned = {
        file.name for file in PUBLISHED_FILES if file.name.endswith(".tar")
    }  # no model's ending to the interface; the notes of these workflows say so
    for name in NAMES:
        installed.frontend.load_workflow(ui_workflow(name))
        installed.page.wait_for_timeout(700)
        reported = installed.missing()
        actual = {file.name for file in files_named_in(api_graph(name))}
        table.append(f"| {name} | {len(set(reported['models']))} | {len(actual)} |")
        if set(reported["models"]) | (actual & unscanned) != actual or reported["media"]:
            wrong.append((name, reported, sorted(actual)))
        if unseen := actual & unscanned:
            assert unseen <= set(note_of(name).split("*")), name
    (OUT / "missing_models.md").write_text("\n".join(table) + "\n")
    assert wrong == []


def note_of(name: str) -> str:
    return next(node["widgets_values"][0] for node in ui_workflow(name)["nodes"] if node["type"] == "MarkdownNote")


WORDS = {
    "en": ("first last frame", "flf2v", "keyframe", "keyframes", "key frame", "morph", "tween", "frame interpolation"),
    "zh": ("补间", "插帧", "首尾帧", "关键帧"),
    "ko": ("중간 프레임", "보간", "동화", "키프레임"),
}


def reload(page) -> None:
    page.page.reload()
    page.page.wait_for_function("() => window.app?.graph && LiteGraph.registered_node_types.BetwixtMatchLines")
    page.page.wait_for_timeout(1500)


@pytest.mark.parametrize("locale", WORDS)
def test_nodes_are_found_by_the_words_people_type(page, locale):
    page.page.evaluate("(locale) => app.extensionManager.setting.set('Comfy.Locale', locale)", locale)
    page.page.wait_for_timeout(500)
    reload(page)
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


def test_a_picture_that_was_deleted_is_told_as_the_starter_opens(installed, base):
    picture = base / "input" / "betwixt_end.png"
    stored = picture.read_bytes()
    picture.unlink()
    try:
        reload(installed.frontend)
        installed.frontend.load_workflow(ui_workflow(STARTERS[0].name))
        installed.page.wait_for_timeout(700)
        assert installed.missing()["media"] == [picture.name]
    finally:
        picture.write_bytes(stored)

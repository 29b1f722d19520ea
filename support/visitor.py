"""Somebody in front of ComfyUI's interface who opens a template, presses Run and looks at the result."""

import time
from pathlib import Path

from betwixt.launcher.client import Client

from support.fresh_host import CLONE
from support.frontend import Frontend

SCREEN = {"width": 1600, "height": 900}
# The smallest scale at which the interface draws a node's words, 14 pixels high at scale 1: its setting
# "Comfy.Graph.MinFontSizeForLOD" is 8 pixels.
READABLE_SCALE = 8 / 14
MISSING = """() => {
  const {missingModel, missingMedia} =
    document.querySelector('#vue-app').__vue_app__.config.globalProperties.$pinia.state.value
  const names = list => (list ?? []).filter(item => item.isMissing !== false).map(item => item.name)
  const offered = (missingModel.missingModelCandidates ?? []).filter(item => item.isMissing !== false && item.url)
  return {
    models: names(missingModel.missingModelCandidates),
    media: names(missingMedia.missingMediaCandidates),
    offered: offered.map(item => item.name),
  }
}"""
SIGHT = """() => {
  const isNote = node => ['MarkdownNote', 'Note'].includes(node.type)
  const inside = graph => graph._nodes.flatMap(node => node.subgraph ? inside(node.subgraph) : [node])
  const [notes, nodes] = [true, false].map(wanted => app.graph._nodes.filter(node => isNote(node) === wanted))
  const settings = node => (node.widgets ?? []).filter(widget => !widget.hidden && widget.type !== 'button').length
  return {
    nodes: nodes.length,
    inside: inside(app.graph).filter(node => !isNote(node)).length,
    settings: nodes.reduce((sum, node) => sum + settings(node), 0),
    words: notes.map(note => note.widgets[0].value).join(' ').split(/\\s+/).filter(word => /\\p{L}/u.test(word)).length,
  }
}"""


class Visitor:
    """A person in front of one page of the interface.

    Args:
        frontend: the open page.
        url: of its server.

    Attributes:
        clicks: how often the mouse was pressed so far.
    """

    def __init__(self, frontend: Frontend, url: str):
        self.frontend, self.page, self.client = frontend, frontend.page, Client(url)
        self.clicks = 0
        self.page.set_viewport_size(SCREEN)

    def click(self, target) -> None:
        target.click()
        self.clicks += 1

    @property
    def dialog(self):
        return self.page.locator("[role=dialog]").first

    def greeted(self, seconds: float = 5) -> bool:
        """Whether the template browser opens by itself, as it does for whoever comes first."""
        deadline = time.monotonic() + seconds
        while not self.dialog.count() and time.monotonic() < deadline:
            self.page.wait_for_timeout(200)
        return bool(self.dialog.count())

    def open_template(self, name: str, typed: str = "", category: str = CLONE) -> None:
        """Choose a template by its name; where that is not in sight, after typing something into the search field and
        choosing the category. Opens the template browser if it is closed."""
        if not self.dialog.count():
            self.click(self.page.get_by_role("button", name="Templates").first)
            self.dialog.wait_for(timeout=30_000)
            self.dialog.get_by_text("All Templates").first.wait_for(timeout=30_000)
        template = self.dialog.get_by_text(name, exact=True).first
        if not template.count():
            self.dialog.get_by_role("textbox").first.fill(typed)
            self.click(self.dialog.get_by_text(category, exact=True).first)
        self.click(template)
        self.dialog.wait_for(state="hidden", timeout=30_000)
        self.page.wait_for_function("() => app.graph._nodes.length > 0")
        self.page.wait_for_timeout(1000)  # pictures of nodes and the view's fit come last

    def run(self, seconds: float = 600) -> dict:
        """Press Run; the record of the prompt once nothing runs or waits.

        Raises:
            AssertionError: the interface refused to queue, or the graph did not end in time.
        """
        before = set(self.client.get("/history"))
        self.click(self.page.get_by_role("button", name="Run", exact=True).first)
        refused, deadline = time.monotonic() + 30, time.monotonic() + seconds
        while True:
            queue, history = self.client.get("/queue"), self.client.get("/history")
            busy, new = queue["queue_running"] or queue["queue_pending"], set(history) - before
            if new and not busy:
                return history[new.pop()]
            assert busy or new or time.monotonic() < refused, self.frontend.dialogs()
            assert time.monotonic() < deadline, "the graph did not end"
            self.page.wait_for_timeout(100)

    def missing(self) -> dict[str, list[str]]:
        """What the interface reports of the open graph: ``models`` and ``media`` that are missing, and the models that
        it has an address for (``offered``)."""
        return self.page.evaluate(MISSING)

    def sight(self) -> dict[str, int]:
        """Of the open graph: ``nodes`` in sight and ``inside`` all blocks, notes not counted; ``settings`` in sight;
        ``words`` of the notes."""
        return self.page.evaluate(SIGHT)

    def scale(self) -> float:
        """The zoom of the canvas."""
        return self.page.evaluate("() => app.canvas.ds.scale")

    def shot(self, path: Path) -> None:
        """A picture of the page as it is."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=path)

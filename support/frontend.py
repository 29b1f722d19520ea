"""ComfyUI's real interface in headless Chromium, for authoring and checking workflows."""

from pathlib import Path

from betwixt.launcher.browser import find_browser
from playwright.sync_api import sync_playwright

BROWSER_ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync")
BROWSER_ARGUMENTS += ("--disable-background-networking", "--disable-component-update")
VIEW = {"width": 2560, "height": 1440}
READY = "() => window.app && window.LiteGraph && LiteGraph.registered_node_types[{!r}] && app.graph"

# The graph as it stands in the interface: nodes it does not know, and links that do not hold at both ends.
FAULTS = """() => {
  const nodes = app.graph._nodes, faults = []
  for (const node of nodes)
    if (!LiteGraph.registered_node_types[node.type] || node.has_errors) faults.push(`node ${node.id} ${node.type}`)
  for (const link of app.graph.links.values()) {
    const from = app.graph.getNodeById(link.origin_id), to = app.graph.getNodeById(link.target_id)
    const output = from?.outputs?.[link.origin_slot], input = to?.inputs?.[link.target_slot]
    if (input?.link !== link.id || !output?.links?.includes(link.id)) faults.push(`link ${link.id}`)
  }
  return {faults, nodes: nodes.length, links: app.graph.links.size}
}"""
SIZES = """() => {
  const context = document.createElement('canvas').getContext('2d')
  const width = (text, font) => { context.font = font; return context.measureText(text).width }
  return Object.fromEntries(app.graph._nodes.map(node => {
    const title = width(node.title, app.canvas.title_text_font) + 64
    const widgets = (node.widgets ?? []).filter(widget => ['combo', 'text', 'string'].includes(widget.type))
      .map(widget => width(`${widget.label ?? widget.name} ${widget.value}`, '12px Arial') + 110)
    const [natural, height] = node.computeSize()
    return [node.id, [Math.max(natural, title, ...widgets), height]]
  }))
}"""
NEW_RENDERER_SIZES = """() => Object.fromEntries(app.graph._nodes.map(node => {
  const element = document.querySelector(`[data-node-id="${node.id}"]`)
  return [node.id, [element.offsetWidth, element.offsetHeight - LiteGraph.NODE_TITLE_HEIGHT]]
}))"""
FIT = """(margin) => {
  const boxes = [...app.graph._nodes, ...app.graph.groups].map(item => item.boundingRect)
  const [left, top] = [0, 1].map(i => Math.min(...boxes.map(box => box[i])))
  const [right, bottom] = [0, 1].map(i => Math.max(...boxes.map(box => box[i] + box[i + 2])))
  const {clientWidth, clientHeight} = app.canvas.canvas, view = app.canvas.ds
  const scale = Math.min((clientWidth - 2 * margin) / (right - left), (clientHeight - 2 * margin) / (bottom - top))
  view.scale = Math.min(scale, 1.5)
  view.offset[0] = (clientWidth / view.scale - right - left) / 2
  view.offset[1] = (clientHeight / view.scale - bottom - top) / 2
  app.canvas.setDirty(true, true)
}"""
MARGIN = 90  # what the bars of the interface take


class Frontend:
    """Context manager: one page of the interface of the server at ``url``.

    While the page is open no other asyncio loop can run in this thread.
    """

    def __init__(self, url: str, known_node: str = "LoadImage"):
        self._url, self._known_node = url, known_node

    def __enter__(self) -> "Frontend":
        browser = find_browser()
        if browser is None:
            raise RuntimeError("No browser found: install Chromium, so that the command 'chromium' exists.")
        self._playwright = sync_playwright().start()
        try:
            self._browser = self._playwright.chromium.launch(executable_path=browser, args=list(BROWSER_ARGUMENTS))
            self.page = self._browser.new_page(viewport=VIEW)
            self.page.goto(self._url)
            self.page.wait_for_function(READY.format(self._known_node), timeout=90_000)
            self.page.wait_for_timeout(1000)  # the graph is set up again shortly after it can be read
        except BaseException:
            self._playwright.stop()
            raise
        return self

    def __exit__(self, *_) -> None:
        self._browser.close()
        self._playwright.stop()

    def use_new_renderer(self, on: bool) -> None:
        """Switch between the classic canvas nodes and "Nodes 2.0"."""
        self.page.evaluate("(on) => app.extensionManager.setting.set('Comfy.VueNodes.Enabled', on)", on)

    def load_api(self, graph: dict, name: str) -> None:
        """Open an API-format graph."""
        self.page.evaluate("async ([graph, name]) => { await app.loadApiJson(graph, name) }", [graph, name])
        self._settle()

    def load_workflow(self, workflow: dict) -> None:
        """Open a UI-format workflow."""
        self.page.evaluate("async (workflow) => { await app.loadGraphData(workflow) }", workflow)
        self._settle()

    def _settle(self) -> None:
        self.page.wait_for_timeout(500)  # widgets and pictures of nodes are added asynchronously

    def prompt(self) -> dict:
        """The open graph in API format, as the Run button would queue it."""
        return self.page.evaluate("async () => (await app.graphToPrompt()).output")

    def serialize(self) -> dict:
        """The open graph in UI format."""
        return self.page.evaluate("() => app.graph.serialize()")

    def faults(self) -> dict:
        """``{"faults": [unknown nodes and broken links], "nodes": count, "links": count}``."""
        return self.page.evaluate(FAULTS)

    def sizes(self, graph: dict, name: str) -> dict[str, tuple[float, float]]:
        """Node id -> (width, height) that shows title, slots and widgets of an API graph in full in either renderer;
        heights without the title bar. Leaves the graph open in the classic renderer."""
        self.use_new_renderer(True)
        self.load_api(graph, name)
        self._fit()  # nodes out of view are not laid out
        tall = self.page.evaluate(NEW_RENDERER_SIZES)
        self.use_new_renderer(False)
        self.load_api(graph, name)
        return {str(node): tuple(map(max, size, tall[node])) for node, size in self.page.evaluate(SIZES).items()}

    def dialogs(self) -> list[str]:
        """Texts of the dialogs and notices the interface shows."""
        return self.page.locator(".p-dialog, .p-toast-message, [role=dialog]").all_inner_texts()

    def screenshot(self, path: Path) -> None:
        """Save a picture of the interface with the whole graph in view."""
        self._fit()
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=path)

    def _fit(self) -> None:
        self.page.evaluate(FIT, MARGIN)
        self.page.wait_for_timeout(700)  # it is drawn there

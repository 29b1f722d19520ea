"""Every shipped workflow in ComfyUI's real interface. Screenshots are left in .out/frontend."""

import pytest

from support.bootstrap import ROOT
from support.frontend import Frontend
from support.workflow_files import NAMES, api_graph, ui_workflow

pytestmark = pytest.mark.frontend


@pytest.fixture(scope="module", params=["classic", "nodes2"])
def frontend(server, request):
    """The interface with its classic or its new node renderer."""
    with Frontend(server.url) as frontend:
        frontend.use_new_renderer(request.param == "nodes2")
        frontend.renderer = request.param
        yield frontend


@pytest.mark.parametrize("name", NAMES)
def test_workflow_opens_whole_and_queues_the_stored_graph(frontend, name):
    workflow = ui_workflow(name)
    frontend.load_workflow(workflow)
    frontend.screenshot(ROOT / ".out" / "frontend" / f"{name} ({frontend.renderer}).png")
    assert frontend.dialogs() == []
    assert frontend.faults() == {"faults": [], "nodes": len(workflow["nodes"]), "links": len(workflow["links"])}
    assert frontend.prompt() == api_graph(name)  # the titles included: nothing needs to be ignored


@pytest.mark.parametrize("name", NAMES)
def test_no_node_hides_another_and_groups_hold_theirs(name):
    workflow = ui_workflow(name)
    boxes = {
        node["id"]: (
            node["pos"][0],
            node["pos"][1] - 30,
            node["pos"][0] + node["size"][0],
            node["pos"][1] + node["size"][1],
        )
        for node in workflow["nodes"]
    }
    overlaps = [
        (first, second)
        for first, a in boxes.items()
        for second, b in boxes.items()
        if first < second and a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
    ]
    assert overlaps == []
    for group in workflow["groups"]:
        x, y, width, height = group["bounding"]
        for node, box in boxes.items():
            outside = box[2] <= x or box[0] >= x + width or box[3] <= y or box[1] >= y + height
            inside = box[0] >= x and box[1] >= y and box[2] <= x + width and box[3] <= y + height
            assert outside or inside, (group["title"], node)

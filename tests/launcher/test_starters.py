"""What the template browser of 'serve' opens on."""

import json

from betwixt.launcher.starters import CATEGORY, PACKAGE, STARTERS, write_templates

from support.workflow_files import WORKFLOWS


def test_the_package_lists_the_starters_in_the_first_category_with_their_files(tmp_path):
    templates = write_templates(tmp_path) / PACKAGE / "templates"
    (category,) = json.loads((templates / "index.json").read_text("utf-8"))
    assert category["title"] == CATEGORY and category["isEssential"] and category["moduleName"] == "default"
    assert [entry["title"] for entry in category["templates"]] == [starter.name for starter in STARTERS]
    for entry, starter in zip(category["templates"], STARTERS, strict=True):
        assert (templates / f"{entry['name']}.json").read_bytes() == (WORKFLOWS / f"{starter.name}.json").read_bytes()
        assert (templates / f"{entry['name']}-1.jpg").stat().st_size
        assert starter.description.endswith(".") and starter.tags

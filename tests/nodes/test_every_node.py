"""What holds for every node of the pack. Each test lists all nodes that break the rule, not the first one."""

import inspect
import json
import re

from betwixt.common.files.published_files import PUBLISHED_FILES

from support.bootstrap import ROOT
from support.schemas import every_input


def schemas(nodes):
    return [node.GET_SCHEMA() for node in nodes]


def parameters(function) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(function).parameters)


def test_ids_are_unique_and_start_with_betwixt(pack_nodes):
    ids = [schema.node_id for schema in schemas(pack_nodes)]
    assert [name for name in ids if not re.fullmatch(r"Betwixt([A-Z0-9][a-z0-9]*)+", name)] == []
    assert sorted(set(ids)) == sorted(ids)


def test_every_node_checks_what_arrives(pack_nodes):
    from betwixt.nodes.checked_node import CheckedNode

    assert [node.__name__ for node in pack_nodes if not issubclass(node, CheckedNode)] == []


def test_names_categories_and_descriptions(pack_nodes):
    for schema in schemas(pack_nodes):
        assert schema.display_name and "Betwixt" not in schema.display_name, schema.node_id
        assert re.fullmatch(r"Betwixt/[^/]+", schema.category), schema.node_id
        assert schema.description and schema.description.strip().endswith("."), schema.node_id


def test_execute_takes_exactly_the_inputs_of_the_schema(pack_nodes):
    for node in pack_nodes:
        inputs = {entry.id: entry for entry in node.GET_SCHEMA().inputs}
        taken = parameters(node.execute)
        assert list(taken) == list(inputs), node.__name__
        no_default = [
            name for name, entry in inputs.items() if entry.optional and taken[name].default is inspect._empty
        ]
        assert no_default == [], node.__name__


def test_other_hooks_take_only_inputs_of_the_schema(pack_nodes):
    for node in pack_nodes:
        known = {entry.id for entry in node.GET_SCHEMA().inputs}
        for hook, extra in (("validate_inputs", {"input_types"}), ("fingerprint_inputs", set())):
            if hook in vars(node):
                taken = parameters(getattr(node, hook))
                if hook == "fingerprint_inputs":  # gets every input, else the host runs the node each time;
                    named = {name: entry for name, entry in taken.items() if entry.kind is not entry.VAR_KEYWORD}
                    assert named != taken or set(taken) == known, node.__name__
                    taken = named  # validate_inputs may not: it would lose the host's own checks
                assert set(taken) <= known | extra, (node.__name__, hook)


def test_hooks_do_not_judge_what_a_wire_has_not_brought_yet(pack_nodes):
    """The host calls them with None for inputs that come from nodes that have not run."""
    for node in pack_nodes:
        for hook in ("validate_inputs", "fingerprint_inputs"):
            if hook in vars(node):
                clone = node.PREPARE_CLASS_CLONE({"hidden_inputs": {}})
                nothing = {entry.id: None for entry in node.GET_SCHEMA().inputs}
                if hook == "validate_inputs":
                    taken = {name: None for name in parameters(clone.validate_inputs) if name in nothing}
                    assert clone.validate_inputs(**taken) is True, node.__name__
                else:
                    clone.fingerprint_inputs(**nothing)


def test_every_input_and_output_has_a_tooltip(pack_nodes):
    bare = []
    for schema in schemas(pack_nodes):
        bare += [f"{schema.node_id}.{path}" for path, entry in every_input(schema.inputs) if not entry.tooltip]
        bare += [f"{schema.node_id} output {entry.id}" for entry in schema.outputs if not entry.tooltip]
    assert bare == []


def test_defaults_are_allowed_values(pack_nodes):
    from comfy_api.latest import io

    for schema in schemas(pack_nodes):
        for path, entry in every_input(schema.inputs):
            where, default = f"{schema.node_id}.{path}", getattr(entry, "default", None)
            if isinstance(entry, io.Int.Input | io.Float.Input):
                assert default is not None and entry.min is not None and entry.max is not None, where
                assert entry.min <= default <= entry.max, where
            elif isinstance(entry, io.Combo.Input) and default is not None:
                # a loader asks for the published file, whether it is there or not
                assert default in entry.options or default in {file.name for file in PUBLISHED_FILES}, where


def test_no_seed_inside_a_dynamic_input(pack_nodes):
    """The frontend writes such a seed's extra widget twice, and the saved workflow no longer opens right."""
    seeds = [
        f"{schema.node_id}.{path}"
        for schema in schemas(pack_nodes)
        for path, entry in every_input(schema.inputs)
        if "." in path and getattr(entry, "control_after_generate", None)
    ]
    assert seeds == []


def test_every_node_has_a_help_page_that_names_its_inputs_and_outputs(pack_nodes):
    missing = []
    for schema in schemas(pack_nodes):
        page = ROOT / "web" / "docs" / f"{schema.node_id}.md"
        text = page.read_text(encoding="utf-8").lower() if page.exists() else ""
        names = [(path, entry) for path, entry in every_input(schema.inputs)]
        names += [(entry.id, entry) for entry in schema.outputs]
        missing += [
            f"{page.name}: {path}"
            for path, entry in names
            if not any(name and name.lower() in text for name in (entry.id, entry.display_name))
        ]
    assert missing == []


def test_the_pictures_of_help_pages_are_there_and_small():
    docs = ROOT / "web" / "docs"
    named = {name for page in docs.glob("*.md") for name in re.findall(r"!\[.*?\]\((.+?)\)", page.read_text("utf-8"))}
    assert named and named == {path.relative_to(docs).as_posix() for path in (docs / "pictures").iterdir()}
    assert all((docs / name).stat().st_size <= 60_000 for name in named)


def test_no_help_page_is_left_of_a_removed_node(pack_nodes):
    ids = {schema.node_id for schema in schemas(pack_nodes)}
    assert {page.stem for page in (ROOT / "web" / "docs").glob("*.md")} - ids == set()


def test_every_node_is_used_in_a_workflow(pack_nodes):
    ids = {schema.node_id for schema in schemas(pack_nodes)}
    shown, run = set(), set()
    for path in (ROOT / "workflows").glob("*.json"):
        shown |= {node["type"] for node in json.loads(path.read_text(encoding="utf-8"))["nodes"]}
    for path in (ROOT / "workflows" / "api").glob("*.json"):
        run |= {node["class_type"] for node in json.loads(path.read_text(encoding="utf-8")).values()}
    assert sorted(ids - shown) == [] and sorted(ids - run) == []

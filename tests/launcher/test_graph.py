"""Reading API-format graphs, changing inputs, finding the files they name."""

import json

import pytest
from betwixt.launcher.failures import UsageMistake
from betwixt.launcher.graph import FileInput, apply_settings, file_inputs, find_file, load_graph, parse_setting

GRAPH = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}, "_meta": {"title": "Start"}},
    "2": {
        "class_type": "Blur",
        "inputs": {"image": ["1", 0], "radius": 3, "name": "7", "codec.quality": 1.5, "sharp": True},
    },
    "2.3": {"class_type": "Blur", "inputs": {"image": ["1", 0], "radius": 3}},
}
SCHEMAS = {
    "LoadImage": {"input": {"required": {"image": [["a.png"], {"image_upload": True}]}}},
    "Blur": {
        "input": {
            "required": {
                "image": ["IMAGE", {}],
                "radius": ["INT", {}],
                "name": ["STRING"],
                "sharp": ["BOOLEAN", {}],
                "share": ["FLOAT", {}],
            },
            "optional": {
                "codec": [
                    "COMFY_DYNAMICCOMBO_V3",
                    {
                        "options": [
                            {"key": "still", "inputs": {"required": {"quality": ["STRING", {}]}}},
                            {"key": "moving", "inputs": {"optional": {"quality": ["INT", {}]}}},
                        ]
                    },
                ],
                "pose": ["COMBO", {"options": ["theirs.json"]}],
                "mode": [["linear", "cubic"]],
                "sound": ["COMBO", {"audio_upload": True}],
            },
        }
    },
}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ('{"1": ', "is not valid JSON: Expecting value: line 1"),
        ("[]", "holds no nodes"),
        ("{}", "holds no nodes"),
        ('{"nodes": [], "links": []}', "user interface's format"),
        ('{"1": {"inputs": {}}}', "entry '1' has no class_type"),
        ('{"1": {"class_type": "A", "inputs": []}}', "inputs of node '1' are not a mapping"),
    ],
)
def test_files_that_are_no_api_workflow_are_refused(tmp_path, content, complaint):
    path = tmp_path / "graph.json"
    path.write_text(content)
    with pytest.raises(UsageMistake, match=complaint) as refusal:
        load_graph(path)
    assert str(path) in str(refusal.value) and refusal.value.exit_code == 2


def test_a_request_body_and_a_byte_order_mark_are_read(tmp_path):
    path = tmp_path / "graph.json"
    path.write_text("\ufeff" + json.dumps({"prompt": GRAPH, "client_id": "x", "extra_data": {}}), "utf-8")
    assert load_graph(path) == GRAPH
    path.write_text(json.dumps({"prompt": {"class_type": "Text", "inputs": {}}}))  # a node that is called "prompt"
    assert list(load_graph(path)) == ["prompt"]


SWITCH = {"1": {"class_type": "Decode", "inputs": {"exact_ends": False}}}
DECODE = {"Decode": {"input": {"required": {"exact_ends": ["BOOLEAN", {}], "two_passes": ["BOOLEAN", {}]}}}}


@pytest.mark.parametrize(
    ("text", "value"), [("True", True), ("yes", True), ("ON", True), ("false", False), ("No", False), ("off", False)]
)
@pytest.mark.parametrize("key", ["exact_ends", "two_passes"])  # one the graph holds, one only the server knows
def test_switches_take_the_words_people_write(key, text, value):
    changed = apply_settings(SWITCH, [f"1.{key}={text}"], DECODE.get)
    assert changed["1"]["inputs"][key] is value


@pytest.mark.parametrize("text", ["1", "0", "ja", "", "null", "truee"])
@pytest.mark.parametrize("key", ["exact_ends", "two_passes"])
def test_switches_take_nothing_else(key, text):
    with pytest.raises(UsageMistake, match="is on or off; write one of true, yes, on, false, no, off"):
        apply_settings(SWITCH, [f"1.{key}={text}"], DECODE.get)


def test_a_missing_or_unreadable_file_is_refused(tmp_path):
    with pytest.raises(UsageMistake, match="No such file"):
        load_graph(tmp_path / "nothing.json")
    with pytest.raises(UsageMistake, match="cannot be read"):
        load_graph(tmp_path)
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageMistake, match="not valid JSON"):
        load_graph(tmp_path / "bytes.json")


def test_an_api_workflow_is_read_as_it_is(tmp_path):
    (tmp_path / "graph.json").write_text(json.dumps(GRAPH))
    assert load_graph(tmp_path / "graph.json") == GRAPH


@pytest.mark.parametrize(
    ("setting", "result"),
    [
        ("2.radius=5", ("2", "radius", 5)),
        ("2.radius=0.5", ("2", "radius", 0.5)),
        ("2.3.radius=5", ("2.3", "radius", 5)),  # the longer node id wins
        ("2.name=12", ("2", "name", "12")),  # text stays text
        ("2.codec.quality=2", ("2", "codec.quality", 2)),
        ("Start.image=b = c.png", ("1", "image", "b = c.png")),
        ("LoadImage.image=b.png", ("1", "image", "b.png")),
        ("2.new=plain text", ("2", "new", "plain text")),
        ("2.sharp=off", ("2", "sharp", False)),  # a boolean stays one
    ],
)
def test_settings_name_a_node_an_input_and_a_value(setting, result):
    assert parse_setting(GRAPH, setting) == result


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ("2.radius", "expected node.input=value"),
        ("9.radius=1", "expected node.input=value with one of these nodes: 1 .Start., 2 .Blur., 2.3 .Blur."),
        ("Blur.radius=1", "could be any of the nodes 2, 2.3"),
        ("2.image=1", "linked to node 1"),
    ],
)
def test_wrong_settings_are_refused(setting, complaint):
    with pytest.raises(UsageMistake, match=complaint):
        parse_setting(GRAPH, setting)


def test_settings_are_applied_to_a_copy_and_checked_against_the_schema():
    before = json.dumps(GRAPH)
    changed = apply_settings(GRAPH, ["2.radius=5", "2.codec=auto", "2.codec.size=4", "1.image=b.png"], SCHEMAS.get)
    assert changed["2"]["inputs"]["radius"] == 5 and changed["2"]["inputs"]["codec.size"] == 4
    assert changed["1"]["inputs"] == {"image": "b.png"}
    assert json.dumps(GRAPH) == before
    with pytest.raises(UsageMistake, match="node 2 has no input 'radios'. It has: image, radius, name"):
        apply_settings(GRAPH, ["2.radios=5"], SCHEMAS.get)


def test_inputs_that_name_uploaded_files_are_found():
    graph = apply_settings(GRAPH, ["2.sound=x.wav", "2.pose=mine.json", "2.mode=linear", "1.image=sub/a.png [input]"])
    assert list(file_inputs(graph, SCHEMAS.get)) == [
        FileInput("1", "image", "sub/a.png", certain=True, offered=False),
        FileInput("2", "pose", "mine.json", certain=False, offered=False),  # a choice the server does not offer
        FileInput("2", "sound", "x.wav", certain=True, offered=False),
    ]
    assert list(file_inputs(GRAPH, SCHEMAS.get)) == [FileInput("1", "image", "a.png", certain=True, offered=True)]
    assert list(file_inputs(apply_settings(GRAPH, ["1.image=a.png [output]"]), SCHEMAS.get)) == []


def test_local_files_are_looked_up_by_name_then_in_the_folders(tmp_path):
    for folder in ("given", "first", "second"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.png").touch()
    (tmp_path / "second" / "b.png").touch()
    folders = [tmp_path / "first", tmp_path / "second"]
    assert find_file("sub/a.png", [tmp_path / "given" / "a.png"], folders) == tmp_path / "given" / "a.png"
    assert find_file("a.png", [], folders) == tmp_path / "first" / "a.png"
    assert find_file("b.png", [], folders) == tmp_path / "second" / "b.png"
    assert find_file("c.png", [], folders) is None


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        *((f"2.sharp={word}", True) for word in ("true", "True", "YES", "on")),
        *((f"2.sharp={word}", False) for word in ("False", "false", "no", "OFF")),
        ("2.radius=05", 5),
        ("2.share=1", 1.0),
        ("2.name=true", "true"),
        ("2.mode=cubic", "cubic"),
        ("2.mode=12", "12"),  # whether the choice exists is the server's to say
        ("2.codec=moving", "moving"),
        ("2.codec.quality=3", "3"),  # no option is chosen: the first that has such an input
        ("2.pose=3.json", "3.json"),
    ],
)
def test_the_schema_says_what_a_value_is(setting, value):
    changed = apply_settings(GRAPH, [setting], SCHEMAS.get)
    found = changed["2"]["inputs"][setting.partition("=")[0].removeprefix("2.")]
    assert found == value and type(found) is type(value)


def test_the_chosen_option_of_a_dynamic_input_decides():
    changed = apply_settings(GRAPH, ["2.codec=moving", "2.codec.quality=3"], SCHEMAS.get)
    assert changed["2"]["inputs"]["codec.quality"] == 3


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ("2.sharp=maybe", "this input is on or off"),
        ("2.sharp=", "this input is on or off"),
        ("2.radius=1.5", "'1.5' is not a whole number"),
        ("2.radius=²", "'²' is not a whole number"),
        ("2.radius=" + "9" * 5000, "is not a whole number"),
        ("2.share=nan", "'nan' is not a finite number"),
        ("2.share=1e400", "'1e400' is not a finite number"),
        ("2.share=half", "'half' is not a finite number"),
    ],
)
def test_a_value_of_another_type_is_refused(setting, complaint):
    with pytest.raises(UsageMistake, match=complaint):
        apply_settings(GRAPH, [setting], SCHEMAS.get)

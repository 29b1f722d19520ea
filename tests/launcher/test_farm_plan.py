"""Planning a farm: where workflows are split, into what, and what the units and the join compute."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from betwixt.common.files.file_hash import sha256_of
from betwixt.launcher.commands import main
from betwixt.launcher.failures import Failure, UsageMistake
from betwixt.launcher.farm.counting import count_parts, interval_sizes
from betwixt.launcher.farm.dispatch import Dispatch, Offer
from betwixt.launcher.farm.export import commands, job_template
from betwixt.launcher.farm.folder import Folder, write_json
from betwixt.launcher.farm.graphs import graph_hash
from betwixt.launcher.farm.manifests import fault_of
from betwixt.launcher.farm.plan import Plan, read_plan
from betwixt.launcher.farm.planning import make_plan, make_units
from betwixt.launcher.farm.splits import Split, find_splits
from betwixt.rerender_core.ebsynth.plan import plan_intervals

from support.workflow_files import api_graph

OUTPUTS = {"PreviewImage", "SaveVideo", "SaveImage", "PreviewAny", "BetwixtSaveSegment"}
TYPES = {
    "BetwixtKeyFramePairs": ["IMAGE", "IMAGE", "INT", "FLOAT"],
    "BetwixtPerGapPrompts": ["STRING", "INT", "INT"],
    "BetwixtDecodeVideoLatents": ["IMAGE"],
    "BetwixtRetimeClip": ["IMAGE"],
    "BetwixtDualReferenceDecode": ["IMAGE"],
    "BetwixtInterpolateConditions": ["IMAGE", "TRACKS", "IMAGE"],
}
LISTS = {"BetwixtKeyFramePairs", "BetwixtPerGapPrompts", "BetwixtLoadSegment"}


def schema(kind: str) -> dict:
    """What object_info says of a class, as far as planning asks."""
    return {
        "output": TYPES.get(kind, ["OTHER"] * 8),
        "output_node": kind in OUTPUTS,
        "is_input_list": kind in ("BetwixtJoinSegments", "BetwixtSaveSegment"),
        "output_is_list": [kind in LISTS],
    }


def answering(**values):
    """A server that knows the answers to the questions of counting, by name."""

    def run(graph: dict) -> dict:
        return {
            node: {"text": [values[node.removesuffix(".ask")]]}
            for node, entry in graph.items()
            if entry["class_type"] == "PreviewAny"
        }

    return run


def planned(name: str, **answers) -> Plan:
    return make_plan(api_graph(name), schema, answering(**answers), {}, [], 0.0, "0.30.0")


def kinds(graph: dict) -> set[str]:
    return {entry["class_type"] for entry in graph.values()}


def test_gaps_of_key_frame_pairs():
    plan = planned("FCVG loop through several key frames", keys="2")
    assert [(unit.part, unit.size, unit.needs) for unit in plan.units] == [(1, 25, ()), (2, 14, ())]
    graph = plan.graph_of(plan.units[1])
    assert graph["4"]["inputs"]["gaps"] == "2" and "BetwixtJoinSegments" not in kinds(graph)
    assert {e["class_type"] for e in graph.values()} & OUTPUTS == {"BetwixtSaveSegment"}
    saves = [entry["inputs"] for entry in graph.values() if entry["class_type"] == "BetwixtSaveSegment"]
    assert {"images": ["15", 0], "name": "segments/15.0", "first": 2} in saves
    assert {"images": ["8", 2], "name": "segments/8.2", "first": 2} in saves  # the conditions, which are shown
    assert plan.joined["16"]["inputs"]["segments"] == ["15.0.load", 0]
    assert "BetwixtInbetween" not in kinds(plan.joined) and "SaveVideo" in kinds(plan.joined)


def test_prompts_of_the_gaps_are_chosen_with_them():
    plan = planned("ToonCrafter through several key drawings", keys="3")
    assert len(plan.units) == 3
    graph = plan.graph_of(plan.units[2])
    assert graph["7"]["inputs"]["gaps"] == graph["8"]["inputs"]["gaps"] == "3"
    assert plan.joined["20"]["inputs"]["segments"][1] == 0 and "BetwixtToonCrafterConditioning" not in kinds(
        plan.joined
    )


def test_intervals_of_a_painted_clip():
    plan = planned("Paint a clip from a few frames", frames="11", cuts="0")
    assert [unit.size for unit in plan.units] == [8, 8]
    graph = plan.graph_of(plan.units[0])
    assert graph["10"]["inputs"]["intervals"] == "1" and graph["10"]["inputs"]["on_cancel"] == "stop"
    assert plan.joined["11"]["inputs"]["images"] == ["10.0.load", 1]
    assert "BetwixtStyliseClip" not in kinds(plan.joined) and "BetwixtLoadFlowModel" not in kinds(plan.joined)


def test_gaps_without_a_model_take_their_layers_along():
    graph = api_graph("Inbetweens without a model")
    graph["4"]["inputs"] |= {"loop": True, "timing": "published"}
    graph["20"] = {"class_type": "PreviewImage", "inputs": {"images": ["21", 0]}}
    graph["21"] = {"class_type": "MaskToImage", "inputs": {"mask": ["4", 1]}}
    plan = make_plan(graph, schema, answering(keys="2"), {}, [], 0.0, "0.30.0")
    assert [unit.size for unit in plan.units] == [25, 25, 25]
    unit = plan.graph_of(plan.units[1])
    assert unit["3"]["inputs"]["gaps"] == unit["4"]["inputs"]["gaps"] == "2"
    assert sum(entry["class_type"] == "BetwixtSaveSegment" for entry in unit.values()) == 2
    assert plan.joined["4.0.join"]["inputs"] == {"segments": ["4.0.load", 0], "loop": True, "published_timing": True}
    assert plan.joined["21"]["inputs"]["mask"] == ["4.1.mask", 0]


def test_shots_then_their_intervals():
    graph = api_graph("Rerender a video")
    graph["16"]["inputs"] |= {"anchor": "first of each shot", "anchor.numbers": "6"}
    run = answering(numbers="0, 3, 6, 8", keys="4", frames="9", cuts="0, 6")
    plan = make_plan(graph, schema, run, {}, [], 0.0, "0.30.0")
    assert [(unit.split, unit.size) for unit in plan.units] == [(0, 2), (0, 2), (1, 4), (1, 2), (1, 2)]
    assert [unit.needs for unit in plan.units] == [(), (), (1, 2), (1, 2), (1, 2)]
    painting = plan.graph_of(plan.units[2])
    assert "BetwixtRerenderKeyFrames" not in kinds(painting)
    assert painting["18"]["inputs"]["keys"] == ["16.0.keys", 0]
    assert painting["16.0.keys"]["inputs"] == {"pictures": ["16.0.load", 1], "numbers": "0, 3, 6, 8"}
    assert plan.graph_of(plan.units[1])["16"]["inputs"]["shots"] == "2"
    assert not kinds(plan.joined) & {"BetwixtRerenderKeyFrames", "BetwixtStyliseClip", "CheckpointLoaderSimple"}


def test_what_is_about_the_whole_clip_is_not_split():
    plan = planned("Inspect a painted clip")
    assert len(plan.units) == 1 and plan.units[0].split is None and plan.joined == plan.graph
    assert "is about the whole clip" in plan.notes[0] and plan.notes[-1].startswith("There is nothing to split")
    graph = api_graph("Paint a clip from a few frames")
    graph["10"]["inputs"]["intervals"] = "1"
    splits, reasons = find_splits(graph, schema)
    assert splits == [] and "'intervals' is set already" in reasons[0]


def test_a_workflow_with_nothing_to_split_is_one_unit():
    plan = planned("Estimate flow")
    assert plan.notes == ("There is nothing to split in this workflow: it runs as one unit.",)
    assert plan.graph_of(plan.units[0]) == plan.graph


@pytest.mark.parametrize(
    "count, keys, cuts", [(11, [0, 5, 10], [0]), (9, [3], [0]), (12, [0, 1, 8], [0, 5, 8]), (6, [1, 2, 4], [0, 4])]
)
def test_intervals_are_counted_as_the_nodes_count_them(count, keys, cuts):
    if keys == [0, 1, 8]:
        keys = [0, 1, 6, 8]
    expected = [
        len(i.frames) * ((i.left is not None) + (i.right is not None)) for i in plan_intervals(count, keys, cuts)
    ]
    assert interval_sizes(count, keys, cuts) == expected


def test_plans_come_back_from_their_file(tmp_path):
    plan, folder = planned("Paint a clip from a few frames", frames="11", cuts="0"), Folder(tmp_path)
    plan.write(folder)
    assert read_plan(folder) == plan
    value = json.loads(folder.plan.read_text())
    folder.plan.write_text(json.dumps({**value, "betwixt": "0.0.9+abc"}))
    with pytest.raises(UsageMistake, match="was made by Betwixt 0.0.9.abc.*plan again with --replan"):
        read_plan(folder)
    assert read_plan(folder, same_pack=False).betwixt == "0.0.9+abc"
    folder.plan.write_text("{")
    with pytest.raises(UsageMistake, match="cannot be read as a plan"):
        read_plan(folder)


def finished(folder: Folder, plan: Plan, number: int) -> None:
    """As if a unit had been made."""
    folder.make()
    (name,) = plan.results_of(plan.units[number - 1])
    folder.path_of(name).write_bytes(b"frames")
    digest = sha256_of(str(folder.path_of(name)))
    manifest = {
        "unit": number,
        "graph": graph_hash(plan.graph_of(plan.units[number - 1])),
        "seconds": 2.0,
        "device": "cpu",
        "torch": "2",
        "threads": 1,
        "files": {name: {"sha256": digest, "bytes": 6}},
    }
    write_json(folder.manifest(number), manifest)


def test_a_unit_counts_only_if_it_verifies(tmp_path, capsys):
    plan, folder = planned("Paint a clip from a few frames", frames="11", cuts="0"), Folder(tmp_path)
    folder.make()
    plan.write(folder)
    first, second = plan.units
    assert fault_of(plan, first, folder) == "not made yet"
    finished(folder, plan, 1)
    assert fault_of(plan, first, folder) is None
    folder.manifest(2).write_bytes(folder.manifest(1).read_bytes())
    assert fault_of(plan, second, folder) == "made from another graph"
    folder.manifest(2).unlink()
    assert main(["farm", "status", str(tmp_path)]) == 1
    assert "1 of 2 units are finished" in capsys.readouterr().out
    finished(folder, plan, 2)
    assert main(["farm", "status", str(tmp_path)]) == 0
    file = folder.path_of(plan.results_of(first)[0])
    file.write_bytes(b"framez")
    assert "is damaged" in fault_of(plan, first, folder)
    file.unlink()
    assert "is missing" in fault_of(plan, first, folder)
    folder.manifest(1).write_text("{")
    assert "cannot be read" in fault_of(plan, first, folder)


def test_commands_and_job_template(tmp_path):
    graph = api_graph("Rerender a video")
    run = answering(numbers="0, 4, 8", keys="3", frames="9", cuts="0")
    plan = make_plan(graph, schema, run, {}, [], 8.0, "0.30.0")
    lines = [line for line in commands(plan, tmp_path).splitlines() if not line.startswith("#")]
    assert [line.split()[-1] for line in lines[:3]] == ["1", "2", "3"] and " farm join " in lines[-1]
    template = job_template(plan, tmp_path, tmp_path)
    assert [step["name"] for step in template["steps"]] == ["Stage 1", "Stage 2", "Join"]
    assert template["steps"][1]["parameterSpace"]["taskParameterDefinitions"][0]["range"] == [2, 3]
    assert template["steps"][2]["dependencies"] == [{"dependsOn": "Stage 1"}, {"dependsOn": "Stage 2"}]
    assert template["steps"][0]["hostRequirements"]["amounts"][1]["min"] == 8192


def test_the_bundle_runs_its_stages_in_order(tmp_path):
    """With the command line tool of Open Job Description, a program that notes its arguments in the pack's place."""
    openjd = Path(sys.executable).with_name("openjd")
    run = answering(numbers="0, 4, 8", keys="3", frames="9", cuts="0")
    plan, out = make_plan(api_graph("Rerender a video"), schema, run, {}, [], 0.0, "-"), tmp_path / "a film"
    Folder(out).make()
    (out / "template.json").write_text(json.dumps(job_template(plan, out, out)))
    noted, program = tmp_path / "noted", tmp_path / "program.py"
    program.write_text(f"import sys; print(*sys.argv[1:], sep='|', file=open({str(noted)!r}, 'a'))")
    answer = subprocess.run(
        [openjd, "run", out / "template.json", "-p", f"Betwixt={program}"], capture_output=True, text=True
    )
    assert answer.returncode == 0 and "Session ended successfully" in answer.stdout, answer.stdout + answer.stderr
    units = [f"farm|unit|{out}|{number}" for number in (1, 2, 3)]
    assert noted.read_text().splitlines() == [*units, f"farm|join|{out}"]
    elsewhere = job_template(plan, out, tmp_path / "jobs")["parameterDefinitions"][-1]
    assert elsewhere == {"name": "Out", "type": "STRING", "default": str(out)}


def test_what_a_unit_costs_does_not_grow_with_their_number():
    def seconds(count: int) -> float:
        """Processor time of scheduling, per unit."""
        dispatch = Dispatch(plan_of([number % 7 for number in range(count)]), 1)
        offers = [Offer(str(number), frozenset(), 0.0) for number in range(20)]
        began = time.process_time()
        for offer in offers:
            dispatch.take(offer, offers)
        while dispatch.working:
            worker = offers[int(next(iter(dispatch.working)))]
            dispatch.done(worker.name)
            dispatch.require_workable(offers)
            dispatch.take(worker, offers)
        return (time.process_time() - began) / count

    assert min(seconds(16_000) for _ in range(3)) < 4 * max(seconds(1000) for _ in range(3))


def plan_of(sizes, memory=0.0) -> Plan:
    """A plan of one split with parts of those sizes."""
    split = Split("1", "gaps", {"1": "gaps"}, ())
    graph = {"1": {"class_type": "A", "inputs": {}}}
    units = make_units(graph, [split], [sizes])
    return Plan(graph, graph, (split,), units, (), {}, (), memory, "x", "y")


def whole_plan(model: str) -> Plan:
    """A plan of one unit that needs a model file."""
    graph = {"1": {"class_type": "A", "inputs": {"file": model}}}
    return Plan(graph, graph, (), make_units(graph, [], []), (), {}, (model,), 0.0, "x", "y")


def test_the_longest_fitting_unit_goes_first():
    dispatch = Dispatch(plan_of([3, 9, 5]), 2)
    offer = Offer("a", frozenset(), 0.0)
    assert dispatch.take(offer).number == 2
    dispatch.done("a")
    assert dispatch.take(offer).number == 3


@pytest.mark.parametrize("paces", [[1, 1, 1, 1], [1, 1, 2, 4], [1, 3]])
def test_unequal_workers_share_the_work_by_their_pace(paces):
    """On a clock of its own: the end is at most 1.15 times the ideal one."""
    sizes = [8 + 3 * (number % 5) for number in range(60)]
    dispatch = Dispatch(plan_of(sizes), 1)
    offers = [Offer(str(number), frozenset(), 0.0) for number in range(len(paces))]
    free_at, end = [0.0] * len(paces), 0.0
    while dispatch.open or dispatch.working:
        worker = free_at.index(min(free_at))
        if offers[worker].name in dispatch.working:
            dispatch.done(offers[worker].name)
        unit = dispatch.take(offers[worker])
        if unit is None:
            end, free_at[worker] = max(end, free_at[worker]), float("inf")
            continue
        free_at[worker] += unit.size * paces[worker]
    ideal = sum(sizes) / sum(1 / pace for pace in paces)
    assert ideal <= end <= 1.15 * ideal


def test_a_lost_unit_goes_elsewhere_and_not_for_ever():
    dispatch, (a, b) = Dispatch(plan_of([3]), 1), (Offer(n, frozenset(), 0.0) for n in "ab")
    assert dispatch.take(a).number == 1
    dispatch.lost("a", "killed")
    assert dispatch.take(a, [b]) is None and dispatch.take(b, [a]).number == 1
    with pytest.raises(Failure, match="lost its worker 2 times, the last time so: killed again"):
        dispatch.lost("b", "killed again")


def test_memory_and_missing_models():
    small, large = Offer("s", frozenset(), 8.0, "small"), Offer("l", frozenset(), 24.0, "large")
    dispatch = Dispatch(plan_of([3], memory=6.0), 1)
    dispatch.take(small)
    dispatch.out_of_memory(small, "out of memory", [large])
    assert dispatch.take(small, [large]) is None and dispatch.take(large, [small]).number == 1
    with pytest.raises(Failure, match="ran out of memory on large"):
        dispatch.out_of_memory(large, "out of memory", [small])
    with pytest.raises(Failure, match="needs 30 GB"):
        Dispatch(plan_of([3], memory=30.0), 1).require_workable([small, large])
    dispatch = Dispatch(whole_plan("m.safetensors"), 1)
    with pytest.raises(Failure, match="No worker has m.safetensors"):
        dispatch.require_workable([small, large])
    has_it = Offer("h", frozenset({"m.safetensors"}), 0.0)
    assert dispatch.take(large, [has_it]) is None and dispatch.take(has_it).number == 1


def test_mistakes_on_the_command_line(tmp_path, capsys):
    out = tmp_path / "out"

    def said(*arguments) -> tuple[int, str]:
        code = main(["farm", *map(str, arguments)])
        return code, capsys.readouterr().out

    code, text = said("run", out)
    assert code == 2 and "holds no plan" in text and "farm plan WORKFLOW.json" in text
    interface = Path(__file__).parents[2] / "workflows" / "Estimate flow.json"
    code, text = said("plan", interface, out)
    assert code == 2 and "user interface's format" in text
    code, text = said("plan", tmp_path / "none.json", out)
    assert code == 2 and "cannot be read" in text
    plan, folder = planned("Paint a clip from a few frames", frames="11", cuts="0"), Folder(out)
    folder.make()
    (folder.input / "a.png").write_bytes(b"1")
    Plan(**{**vars(plan), "inputs": {"a.png": {"sha256": "0" * 64, "from": None}}}).write(folder)
    code, text = said("join", out)
    assert code == 2 and "was changed after the plan was made" in text
    (folder.input / "a.png").unlink()
    code, text = said("run", out)
    assert code == 2 and "is missing" in text


def test_two_at_once_and_folders_that_cannot_be_written(tmp_path):
    folder = Folder(tmp_path / "out")
    folder.make()
    code = (
        "import betwixt, pathlib; from betwixt.launcher.farm.folder import Folder\n"
        f"with Folder(pathlib.Path({str(folder.out)!r})).locked('join'): pass"
    )
    root = Path(__file__).parents[2]
    with folder.locked("run"):
        answer = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert answer.returncode and "is in use by 'farm run' (process" in answer.stderr
    assert subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True).returncode == 0
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageMistake, match="nothing can be written there"):
        Folder(tmp_path / "file" / "out").make()


def test_counting_asks_for_links_only():
    graph = api_graph("FCVG loop through several key frames")
    asked = []

    def run(probe: dict) -> dict:
        asked.append(kinds(probe))
        return answering(keys="2")(probe)

    splits, _ = find_splits(graph, schema)
    counted, reasons = count_parts(graph, splits, run)
    assert not reasons and len(counted[0].sizes) == 2
    assert len(asked) == 1 and "BetwixtLoadFCVGModel" not in asked[0] and "GetImageSize" in asked[0]

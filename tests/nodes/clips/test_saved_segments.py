"""'Save Segment' and 'Load Segment', and the parts of 'Key Frame Pairs'."""

import pytest
import torch
from betwixt.common.errors import BetwixtError
from betwixt.common.files.segments import numbers_of, read_segment, segment_path, write_segment

from support.run_node import run


@pytest.fixture
def nodes(host, monkeypatch, tmp_path):
    import folder_paths
    from betwixt.nodes.clips import saved_segments

    for name in ("output", "input"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(folder_paths, "get_output_directory", lambda: str(tmp_path / "output"))
    monkeypatch.setattr(folder_paths, "get_input_directory", lambda: str(tmp_path / "input"))
    return saved_segments


def frames(count: int, seed: int = 0, size=(6, 10)) -> torch.Tensor:
    return torch.randn(count, *size, 3, generator=torch.Generator().manual_seed(seed)) * 3


def save(nodes, clips, name="a/shot", first=1, **more):
    return run(nodes.SaveSegment, images=clips, name=[name], first=[first], **more)


def test_every_value_comes_back(nodes, tmp_path):
    clips = [frames(3), frames(2, 1)]
    masks = [torch.rand(3, 6, 10), torch.rand(2, 6, 10)]
    assert save(nodes, clips, masks=masks) == ("a/shot",)
    segments, images, loaded = run(nodes.LoadSegment, name="a/shot", numbers="")
    assert all(map(torch.equal, segments, clips)) and all(map(torch.equal, loaded, masks))
    assert torch.equal(images, torch.cat(clips))
    assert [path.name for path in sorted((tmp_path / "output/a").iterdir())] == [
        "shot_00001.safetensors",
        "shot_00002.safetensors",
    ]
    manifest = read_segment(segment_path(str(tmp_path / "output/a"), "shot", 2)).about
    assert manifest["frames"] == [2, 6, 10, 3] and manifest["device"] == "cpu" and len(manifest["sha256"]) == 64
    assert manifest["betwixt"].startswith("0.1.0+") and manifest["threads"] == torch.get_num_threads()


def test_parts_are_saved_one_after_the_other_and_replaced(nodes, tmp_path):
    save(nodes, [frames(2), frames(2, 1)])
    save(nodes, [frames(2, 3)], first=4)
    with pytest.raises(BetwixtError, match="the numbers 3 are missing"):
        run(nodes.LoadSegment, name="a/shot", numbers="")
    save(nodes, [frames(2, 2)], first=3)
    save(nodes, [frames(2, 9)], first=2)
    segments, _, masks = run(nodes.LoadSegment, name="a/shot", numbers="2-3")
    assert torch.equal(segments[0], frames(2, 9)) and torch.equal(segments[1], frames(2, 2))
    assert not torch.stack(masks).any()
    (tmp_path / "output/a").rename(tmp_path / "input/a")  # the input folder serves as well
    assert len(run(nodes.LoadSegment, name="a/shot", numbers="")[0]) == 4


def test_the_cache_sees_another_file(nodes):
    before = nodes.LoadSegment.fingerprint_inputs("a/shot", "")
    assert before != before  # none yet: never answered from the cache
    save(nodes, [frames(2)])
    before = nodes.LoadSegment.fingerprint_inputs("a/shot", "")
    assert before == nodes.LoadSegment.fingerprint_inputs("a/shot", "")
    save(nodes, [frames(3)])
    assert before != nodes.LoadSegment.fingerprint_inputs("a/shot", "")


def test_damaged_and_foreign_files_are_refused(nodes, tmp_path):
    save(nodes, [frames(2)])
    path = tmp_path / "output/a/shot_00001.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-4] + b"\0\1\2\3")
    with pytest.raises(BetwixtError, match="not those that were written"):
        run(nodes.LoadSegment, name="a/shot", numbers="")
    for content in (whole[:-40], b"", b"no segment", whole[:100]):
        path.write_bytes(content)
        with pytest.raises(BetwixtError, match="is no segment, or not a complete one"):
            run(nodes.LoadSegment, name="a/shot", numbers="")


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    from betwixt.common.files import segments

    path = segment_path(str(tmp_path), "s", 1)
    write_segment(path, frames(2), None, {})
    before = read_segment(path)

    def full(values, file, metadata):
        file.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(segments, "save_file", full)
    with pytest.raises(OSError, match="No space left"):
        write_segment(path, frames(2, 1), None, {})
    assert torch.equal(read_segment(path).frames, before.frames)
    assert numbers_of(str(tmp_path), "s") == [1] and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("name", ["", "../out", "/etc/x", "a/", " a", "a\nb", "n" * 300])
def test_names_stay_inside_the_folder(nodes, name):
    with pytest.raises(BetwixtError, match="'name' is"):
        save(nodes, [frames(1)], name=name)
    with pytest.raises(BetwixtError, match="'name' is"):
        run(nodes.LoadSegment, name=name, numbers="")


def test_other_mistakes_are_told(nodes):
    with pytest.raises(BetwixtError, match="'masks' do not fit 'images'"):
        save(nodes, [frames(2)], masks=[torch.zeros(3, 6, 10)])
    with pytest.raises(BetwixtError, match="There is no segment 'a/other'"):
        run(nodes.LoadSegment, name="a/other", numbers="")
    save(nodes, [frames(2), frames(2, size=(8, 10))])
    with pytest.raises(BetwixtError, match="different sizes: 10x6, 10x8"):
        run(nodes.LoadSegment, name="a/shot", numbers="")


def test_the_graph_hash_is_that_of_what_comes_before(nodes):
    graph = {
        "1": {"class_type": "A", "inputs": {"x": 1}, "_meta": {"title": "any"}},
        "2": {"class_type": "B", "inputs": {"a": ["1", 0]}},
        "3": {"class_type": "C", "inputs": {"a": ["1", 0]}},
    }
    before = nodes.graph_hash(graph, "2")
    graph["1"]["_meta"]["title"], graph["3"]["inputs"]["b"] = "other", 2
    assert nodes.graph_hash(graph, "2") == before
    graph["1"]["inputs"]["x"] = 2
    assert nodes.graph_hash(graph, "2") != before and nodes.graph_hash(None, "2") is None


def test_chosen_gaps_are_those_of_all(host):
    from betwixt.nodes.clips.segments import KeyframePairs
    from betwixt.nodes.tooncrafter.conditioning import PerGapPrompts

    keys = torch.rand(4, 8, 8, 3)
    inputs = {"key_frames": keys, "loop": True, "frames_per_gap": "5, 6, 7, 8", "strength_per_gap": "1, 2, 3, 4"}
    whole = run(KeyframePairs, **inputs)
    for text, part in (("", slice(None)), ("2", slice(1, 2)), ("2-4", slice(1, 4))):
        made = run(KeyframePairs, **inputs, gaps=text)
        assert made[2:] == tuple(values[part] for values in whole[2:])
        assert all(torch.equal(a, b) for k in (0, 1) for a, b in zip(made[k], whole[k][part], strict=True))
    prompts = {"key_frames": keys, "loop": False, "prompts": "a\nb\nc", "fs": "1, 2, 3", "lengths": "8"}
    assert run(PerGapPrompts, **prompts, gaps="2-3") == (["b", "c"], [2, 3], [8, 8])
    with pytest.raises(BetwixtError, match="'gaps' is '5'"):
        run(KeyframePairs, **inputs, gaps="5")

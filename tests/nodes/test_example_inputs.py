"""The workflows' example inputs reach the host's input folder once, without harm to what is there."""

import logging

import numpy as np
import pytest

from support.workflow_files import NAMES, api_graph

MEDIA = (".png", ".mp4", "_pose.json")


@pytest.fixture
def examples(host):
    from betwixt.nodes.host.services import example_inputs

    return example_inputs


def names(examples) -> list[str]:
    return sorted(path.name for path in examples.STORED.iterdir())


def test_every_file_that_a_workflow_names_is_among_them_and_they_are_small(examples):
    values = {
        value for name in NAMES for entry in api_graph(name).values() for value in map(str, entry["inputs"].values())
    }
    named = {value for value in values if value.endswith(MEDIA)}
    assert named and named <= set(names(examples))
    assert sum(path.stat().st_size for path in examples.STORED.iterdir()) < 1_000_000


def test_the_stored_files_are_what_the_demo_draws(examples, tmp_path):
    import av
    from betwixt.demo.scene import write_inputs

    for drawn in write_inputs(tmp_path):
        stored = examples.STORED / drawn.name
        if drawn.suffix == ".json":
            assert stored.read_text() == drawn.read_text()
            continue
        pictures = []
        for path in (stored, drawn):
            with av.open(str(path)) as container:
                pictures.append([frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)])
        assert len(pictures[0]) == len(pictures[1])
        # painted pictures go through OpenCV's filters, which differ by a grey level between builds
        assert np.abs(np.array(pictures[0]) - np.array(pictures[1])).mean() < 0.5


def test_they_are_placed_once_and_nothing_is_overwritten(examples, tmp_path):
    folder = tmp_path / "Eingänge 入力"
    folder.mkdir()
    (folder / "betwixt_end.png").write_bytes(b"mine")
    assert examples.place_example_inputs(folder) == [n for n in names(examples) if n != "betwixt_end.png"]
    assert (folder / "betwixt_end.png").read_bytes() == b"mine"
    assert (folder / "betwixt_start.png").read_bytes() == (examples.STORED / "betwixt_start.png").read_bytes()
    (folder / "betwixt_start.png").unlink()
    assert examples.place_example_inputs(folder) == []  # deleted ones stay away, a second copy of the pack adds nothing
    assert not (folder / "betwixt_start.png").exists()
    (folder / examples.LIST).unlink()
    assert examples.place_example_inputs(folder) == ["betwixt_start.png"]


def test_a_new_example_comes_to_a_folder_that_has_the_old_ones(examples, tmp_path):
    stored, folder = tmp_path / "stored", tmp_path / "input"
    stored.mkdir()
    (stored / "a.png").write_bytes(b"a")
    assert examples.place_example_inputs(folder, stored) == ["a.png"]
    (folder / "a.png").unlink()
    (stored / "b.png").write_bytes(b"b")
    assert examples.place_example_inputs(folder, stored) == ["b.png"]
    assert sorted(path.name for path in folder.iterdir()) == ["b.png", examples.LIST]


def test_a_folder_that_cannot_be_written_is_one_line_in_the_log(examples, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.WARNING):
        assert examples.place_example_inputs(tmp_path / "file" / "input") == []
    assert len(caplog.records) == 1 and "could not be put into" in caplog.records[0].getMessage()


def test_a_full_disk_leaves_no_half_file(examples, tmp_path, monkeypatch, caplog):
    def full(self):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.read_bytes", full)
    assert examples.place_example_inputs(tmp_path) == [] and list(tmp_path.iterdir()) == []
    assert "No space left" in caplog.text

"""The parts of the authoring tools that need neither ComfyUI nor a browser."""

import io
import itertools

import numpy as np
from PIL import Image

from support.thumbnail import GROUND, HEIGHT, MAX_BYTES, WIDTH, montage, write_thumbnail
from tools.layered_layout import TITLE_BAR, Stage, arrange, columns_by_depth


def test_columns_follow_the_longest_path_and_sources_stand_before_what_they_feed():
    links = {("load", "match"), ("match", "draw"), ("matcher", "match"), ("late", "draw"), ("outside", "load")}
    nodes = ["load", "matcher", "match", "late", "draw", "alone"]
    assert columns_by_depth(nodes, links) == (("load", "matcher", "alone"), ("match", "late"), ("draw",))


def test_nodes_do_not_overlap_and_lie_in_their_stage():
    stages = [Stage("a", (("1", "2"), ("3",))), Stage("b", (("4",),))]
    sizes = {"1": (200, 300), "2": (250, 80), "3": (300, 40), "4": (220, 500)}
    layout = arrange(stages, sizes)
    for one, other in itertools.combinations(layout.nodes.values(), 2):
        apart = [one[i] + one[i + 2] <= other[i] - (TITLE_BAR if i else 0) for i in (0, 1)]
        apart += [other[i] + other[i + 2] <= one[i] - (TITLE_BAR if i else 0) for i in (0, 1)]
        assert any(apart)
    for stage, (x, y, width, height) in zip(stages, layout.stages, strict=True):
        for column in stage.columns:
            for node in column:
                left, top, node_width, node_height = layout.nodes[node]
                assert node_width == max(sizes[other][0] for other in column)
                assert x < left and left + node_width < x + width
                assert y < top - TITLE_BAR and top + node_height < y + height


def png(colour, size=(1024, 576)) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", size, colour).save(data, "PNG")
    return data.getvalue()


def test_a_thumbnail_shows_one_picture_or_four_of_several():
    one = np.asarray(montage([png((200, 0, 0), (512, 512))]))
    assert one.shape == (HEIGHT, WIDTH, 3)
    assert one[180, 320].tolist() == [200, 0, 0] and one[180, 10].tolist() == list(GROUND)
    four = np.asarray(montage([png((20 * index, 0, 0)) for index in range(10)]))
    assert [four[y, x, 0] for y in (90, 270) for x in (160, 480)] == [0, 60, 120, 180]


def test_a_thumbnail_is_small_whatever_it_shows(tmp_path):
    noise = np.random.default_rng(0).normal(128, 25, (HEIGHT // 2, WIDTH // 2, 3)).clip(0, 255).astype(np.uint8)
    path = tmp_path / "name.jpg"
    write_thumbnail(Image.fromarray(noise).resize((WIDTH, HEIGHT)), path)
    assert path.stat().st_size <= MAX_BYTES and Image.open(path).format == "JPEG"

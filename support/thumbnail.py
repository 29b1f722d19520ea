"""Thumbnails of workflows for ComfyUI's template browser."""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

WIDTH, HEIGHT, GAP = 640, 360, 4
MAX_BYTES = 60_000
GROUND = (24, 24, 27)
ILLUSTRATION = "Illustration: inputs and graph, not a result (needs model files)"


def montage(pictures: list[bytes]) -> Image.Image:
    """One picture fitted into the thumbnail, or four of several, evenly spread, two by two."""
    decoded = [Image.open(io.BytesIO(data)).convert("RGB") for data in pictures]
    across = 1 if len(decoded) == 1 else 2
    chosen = [decoded[round(index)] for index in np.linspace(0, len(decoded) - 1, across * across)]
    cell = ((WIDTH - GAP * (across - 1)) // across, (HEIGHT - GAP * (across - 1)) // across)
    sheet = Image.new("RGB", (WIDTH, HEIGHT), GROUND)
    for index, picture in enumerate(chosen):
        picture.thumbnail(cell, Image.Resampling.LANCZOS)
        row, column = divmod(index, across)
        x = column * (cell[0] + GAP) + (cell[0] - picture.width) // 2
        y = row * (cell[1] + GAP) + (cell[1] - picture.height) // 2
        sheet.paste(picture, (x, y))
    return sheet


def illustration(workflow: dict, pictures: list[Image.Image]) -> Image.Image:
    """A picture for a workflow whose result is not at hand: its inputs, its graph, a line that says so.

    Args:
        workflow: UI format; of a workflow with a block the block's inside is drawn.
        pictures: what the workflow loads, at most three are shown.
    """
    sheet = Image.new("RGB", (WIDTH, HEIGHT), GROUND)
    draw = ImageDraw.Draw(sheet)
    blocks = (workflow.get("definitions") or {}).get("subgraphs", [])
    _draw_graph(draw, blocks[0] if blocks else workflow, (220, 24, WIDTH - 24, HEIGHT - 56))
    shown = pictures[:3]
    cell = (172, (HEIGHT - 80) // max(1, len(shown)) - 8)
    for index, picture in enumerate(shown):
        small = picture.convert("RGB")
        small.thumbnail(cell, Image.Resampling.LANCZOS)
        sheet.paste(small, (24, 24 + index * (cell[1] + 8)))
    draw.rectangle((0, HEIGHT - 36, WIDTH, HEIGHT), fill=(58, 58, 66))
    draw.text((24, HEIGHT - 29), ILLUSTRATION, fill=(235, 235, 235), font=ImageFont.load_default(18))
    return sheet


def _draw_graph(draw: ImageDraw.ImageDraw, graph: dict, box: tuple[int, int, int, int]) -> None:
    """The nodes, groups and links of a graph as boxes and lines within ``box``."""
    nodes = {node["id"]: (*node["pos"], *node["size"]) for node in graph["nodes"] if node["type"] != "MarkdownNote"}
    areas = [(tuple(group["bounding"]), group.get("color", "#3f789e")) for group in graph.get("groups", ())]
    everything = [*nodes.values(), *(area for area, _ in areas)]
    left, top = (min(item[axis] for item in everything) for axis in (0, 1))
    right, bottom = (max(item[axis] + item[axis + 2] for item in everything) for axis in (0, 1))
    scale = min((box[2] - box[0]) / (right - left), (box[3] - box[1]) / (bottom - top))
    off = [
        (box[i] + box[i + 2] - scale * (low + high)) / 2 for i, (low, high) in enumerate(((left, right), (top, bottom)))
    ]

    def place(x: float, y: float) -> tuple[float, float]:
        return off[0] + scale * x, off[1] + scale * y

    for (x, y, width, height), colour in areas:
        red, green, blue = ImageColor.getrgb(colour)
        draw.rectangle((place(x, y), place(x + width, y + height)), fill=(red // 3, green // 3, blue // 3))
    for link in graph["links"]:
        source, target = (link["origin_id"], link["target_id"]) if isinstance(link, dict) else (link[1], link[3])
        if source in nodes and target in nodes:
            a, b = nodes[source], nodes[target]
            draw.line((place(a[0] + a[2], a[1] + 20), place(b[0], b[1] + 20)), fill=(150, 170, 210), width=2)
    for x, y, width, height in nodes.values():
        draw.rectangle((place(x, y - 30), place(x + width, y + height)), fill=(62, 62, 70), outline=(160, 160, 170))


def write_thumbnail(picture: Image.Image, path: Path) -> None:
    """Save as JPEG with the best quality that stays within :data:`MAX_BYTES`."""
    for quality in range(92, 30, -6):
        data = io.BytesIO()
        picture.save(data, "JPEG", quality=quality, optimize=True)
        if data.tell() <= MAX_BYTES:
            break
    path.write_bytes(data.getvalue())

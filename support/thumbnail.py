"""Thumbnails of workflows for ComfyUI's template browser."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

WIDTH, HEIGHT, GAP = 640, 360, 4
MAX_BYTES = 60_000
GROUND = (24, 24, 27)


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


def write_thumbnail(picture: Image.Image, path: Path) -> None:
    """Save as JPEG with the best quality that stays within :data:`MAX_BYTES`."""
    for quality in range(92, 30, -6):
        data = io.BytesIO()
        picture.save(data, "JPEG", quality=quality, optimize=True)
        if data.tell() <= MAX_BYTES:
            break
    path.write_bytes(data.getvalue())

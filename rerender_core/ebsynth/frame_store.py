"""Room for one value per frame and pixel: in memory, or in a temporary file where an interval is long.

The system writes pages of such a file out and reads them back as it needs memory, so that two key frames may be any
number of frames apart.
"""

import tempfile

import numpy as np

IN_MEMORY = 1 << 30  # bytes of an interval up to which everything stays in memory
BYTES_PER_PIXEL = 39  # kept of each frame: two sides with errors and matches, flow both ways


def belongs_on_disk(frame_count: int, pixels: int) -> bool:
    """Whether an interval of so many frames with so many pixels each is long."""
    return frame_count * pixels * BYTES_PER_PIXEL > IN_MEMORY


def frame_store(shape: tuple[int, ...], dtype: np.typing.DTypeLike, on_disk: bool) -> np.ndarray:
    """An array with undefined contents; one on disk goes away with its last view."""
    if not on_disk or 0 in shape:
        return np.empty(shape, dtype)
    return np.memmap(tempfile.TemporaryFile(prefix="betwixt_"), dtype, "w+", shape=shape)

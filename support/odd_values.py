"""Values that nobody means but that do arrive at nodes: over wires of other packs, from scripts, from broken graphs."""

import math

import numpy as np
import torch

NAN = float("nan")


def odd_values() -> dict[str, object]:
    """Description -> value; every call makes new ones."""
    generator = torch.Generator().manual_seed(0)

    def noise(*shape):
        return torch.rand(*shape, generator=generator)

    broken = noise(2, 64, 64, 3)
    broken[1, 3, 5, 0] = NAN
    deep = "[" * 4000 + "]" * 4000
    return {
        "nothing": None,
        "an empty text": "",
        "False as text": "False",
        "a superscript digit": "²",
        "an overflowing number as text": "1e400",
        "5,000 digits as text": "9" * 5000,
        "NaN as text": "nan",
        "a division by zero": "1/0",
        "deeply nested brackets": deep,
        "a broken list": '[{"x": 1, "y"',
        "a list of booleans as text": '[{"x": true, "y": null}]',
        "line ends and nulls": "a\n\x00\r\n\ud83d",
        "a folder above": "../../x",
        "truth": True,
        "minus one": -1,
        "a huge number": 10**30,
        "a fraction": 0.123,
        "NaN": NAN,
        "infinity": -math.inf,
        "a number of NumPy": np.float32(0.5),
        "an empty list": [],
        "three numbers": [0.5, 0.25, 1.0],
        "two texts": ["0", "1"],
        "a nested list": [[1, 2], [3, [4]]],
        "an empty dictionary": {},
        "a dictionary of nothing": {"samples": None, "track_path": None, "people": None},
        "an object": object(),
        "bytes": b"\xff\xfe",
        "a batch of none": torch.zeros(0, 64, 64, 3),
        "no pixels": torch.zeros(1, 0, 64, 3),
        "one pixel": noise(1, 1, 1, 3),
        "a row": noise(1, 1, 100, 3),
        "a column": noise(2, 100, 1, 3),
        "two channels": noise(1, 64, 64, 2),
        "transparency": noise(2, 64, 64, 4),
        "another size": noise(2, 48, 40, 3),
        "NaN in a picture": broken,
        "far too bright": torch.full((2, 64, 64, 3), 1e30),
        "8-bit pictures": torch.full((2, 64, 64, 3), 200, dtype=torch.uint8),
        "one mask without a batch": noise(64, 64),
        "an empty mask": torch.zeros(1, 64, 64),
        "the mask of an opaque picture": torch.zeros(1, 40, 56),
        "a mask of one pixel": torch.ones(1, 1, 1),
        "NaN in a mask": torch.full((1, 64, 64), NAN),
        "complex numbers": torch.zeros(1, 64, 64, 3, dtype=torch.complex64),
        "a NaN latent": {"samples": torch.full((2, 4, 8, 8), NAN)},
        "a latent of no frames": {"samples": torch.zeros(0, 4, 8, 8)},
        "a latent of another model": {"samples": torch.zeros(1, 16, 3, 8, 8)},
        "a latent of one cell": {"samples": torch.zeros(1, 4, 1, 1)},
        "an empty conditioning": [[torch.zeros(1, 0, 64), {}]],
        "a NaN conditioning": [[torch.full((1, 1, 1024), NAN), {}]],
        "tracks of nothing": {"track_path": torch.zeros(0, 0, 2), "track_visibility": torch.zeros(0, 0)},
        "poses without canvas": [{"people": [{"pose_keypoints_2d": [1.0, 2.0, 0.5] * 18}]}],
    }

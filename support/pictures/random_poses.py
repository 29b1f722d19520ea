"""Random people for tests and benchmarks."""

import numpy as np
from betwixt.fcvg_core.poses.pose import SCORE_THRESHOLD, PoseFrame


def random_pose(seed: int, people: int, spread: float = 0.15, canvas: tuple[int, int] = (576, 1024)) -> PoseFrame:
    """People around random places; scores from -0.2 to 1.3. With a large ``spread`` many points are outside."""
    random = np.random.default_rng(seed)
    centre = random.uniform(0.2, 0.8, (people, 1, 2))
    arrays = {}
    for part, count in (("body", 18), ("left_hand", 21), ("right_hand", 21), ("face", 68)):
        size = spread if part == "body" else spread / 4
        arrays[part] = centre + random.uniform(-0.3, 0.3, (people, 1, 2)) + random.normal(0, size, (people, count, 2))
        arrays[f"{part}_score"] = random.uniform(-0.2, 1.3, (people, count))
    return PoseFrame(**arrays, body_visible=arrays["body_score"] > SCORE_THRESHOLD, canvas=canvas)

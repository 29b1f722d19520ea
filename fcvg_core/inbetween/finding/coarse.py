"""Layers found at a smaller size, where things are found whole, lead those found at a larger one, which are finer.

At the smaller size a limb or a head is a few pixels wide and goes along with its body; at the larger one each could
follow a motion of its own by chance (docs/methods/inbetweens.md, Choice).
"""

import cv2
import numpy as np

from ..layers import MotionLayers
from ..motion.motions import both, lengths

EXPLAINED = 0.9  # share of the pixels that layers must explain to lead others
OTHERWISE = 0.2  # cost of another displacement, in units of "altogether unlike"
FAR = 0.005  # of the diagonal, from which it is another one


def leads(layers: MotionLayers) -> bool:
    """Whether layers explain enough of both key frames to lead finer ones."""
    return layers.unexplained <= 1 - EXPLAINED


class CoarseLayers:
    """The displacements of layers at another size.

    Args:
        layers: found at a smaller one.
        size: (height, width).
    """

    def __init__(self, layers: MotionLayers, size: tuple[int, int]):
        scale = np.divide(size[::-1], layers.size[::-1], dtype=np.float32)

        def larger(side: int) -> np.ndarray:
            return cv2.resize(layers.displacement[side], size[::-1], interpolation=cv2.INTER_NEAREST) * scale

        self._fields = both(larger)
        self._seen = both(lambda side: cv2.resize(layers.seen[side], size[::-1]))
        self._followed = {number for side in layers.label for number in np.unique(side).tolist()}
        self._far = FAR * float(np.hypot(*size))

    def follow(self, number: int) -> bool:
        """Whether any pixel follows the motion of that number."""
        return number in self._followed

    def cost(self, side: int, field: np.ndarray) -> np.ndarray:
        """float32 (h, w), of the displacement ``field`` (h, w, 2): more the farther off and the surer these are."""
        off = np.minimum(lengths(field - self._fields[side]) / self._far, 1)
        return np.float32(OTHERWISE) * self._seen[side] * off

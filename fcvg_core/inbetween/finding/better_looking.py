"""Plain optical flow instead of layers where the frame half-way looks better with it.

Costs are found pixel by pixel, from each key frame alone; what comes out torn is seen only in a frame: where layers cut
through things, edges lie that neither key frame has (docs/methods/inbetweens.md, Simpler explanations).
"""

from collections.abc import Callable

from ..layers import MotionLayers
from ..rendering.tears import half_way
from .carrying import UNKNOWN
from .dissolving import dissolve_unknown

TORN = 0.001  # share of the frame that must be tears before anything is compared
LESS_TORN = 0.5  # share of the tears that may remain
LESS_UNLIKE = 0.93  # share of the unlikeness of what both key frames show there that may remain


def better_looking(layers: MotionLayers, plain: Callable[[], MotionLayers]) -> MotionLayers:
    """``layers``, or what ``plain`` makes if that is much less torn half-way, and both key frames more alike there."""
    seen = half_way(layers, UNKNOWN)
    torn = seen.torn.mean()
    if torn < TORN:
        return layers
    instead = plain()
    other = half_way(instead, UNKNOWN)
    if other.torn.mean() > LESS_TORN * torn or other.unlike.mean() > LESS_UNLIKE * seen.unlike.mean():
        return layers
    dissolve_unknown(instead)
    return instead

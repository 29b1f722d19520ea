"""A drawn clip, painted by EbSynth's propagation with the engine in torch operations."""

from dataclasses import dataclass

import numpy as np
import torch
from betwixt.common.pictures import to_float
from betwixt.rerender_core.ebsynth.plan import plan_intervals
from betwixt.rerender_core.ebsynth.propagation import PropagationOptions, propagate
from betwixt.rerender_core.ebsynth.stylised_keys import StylisedKeys
from betwixt.rerender_core.ebsynth.synthesis.problem import SynthesisOptions
from betwixt.rerender_core.flow.estimation import DenseInverseSearch, estimate_flow, neighbour_pairs

from support.pictures.painted_scene import moved, painted_scene


@dataclass(frozen=True)
class PaintedClip:
    """Four frames, two key pictures for the first and the last of them, and the flow between the frames."""

    frames: torch.Tensor
    styles: torch.Tensor
    flow: object

    @classmethod
    def drawn(cls, height: int, width: int) -> "PaintedClip":
        scene = painted_scene(height, width)
        frames = to_float(np.stack([moved(scene.key, scene.flow * time) for time in (0, 0.3, 0.6, 1.0)]))
        flow = estimate_flow(frames, neighbour_pairs(4), DenseInverseSearch("fast"))
        return cls(frames, to_float(np.stack([scene.style, moved(scene.style, scene.flow)])), flow)

    def painted(self, device, keys: list[int], count: int, **changes) -> list:
        """The intervals of the first ``count`` frames."""
        settings = SynthesisOptions(schedule="hybrid", vote_iterations=2, match_iterations=1)
        options = PropagationOptions(synthesis=settings, engine="torch", **changes)
        masks = torch.ones(count, *self.frames.shape[1:3], dtype=torch.bool)
        masks[:, :10] = False
        stylised, intervals = StylisedKeys.of(self.styles[: len(keys)], keys), plan_intervals(count, keys)
        return list(propagate(self.frames[:count], stylised, intervals, self.flow, options, device, masks=masks))

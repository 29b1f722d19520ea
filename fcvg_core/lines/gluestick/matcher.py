"""The published line matching pipeline: segments, SuperPoint, wireframe, GlueStick
(docs/methods/lines.md, The published pipeline)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from ....common.pictures import grey
from ....common.progress import Progress, silent
from ..matches import LineMatches
from ..segments import Method, detect_segments
from .network import GlueStick
from .superpoint import SuperPoint
from .wireframe import Wireframe, build_wireframe


@dataclass(frozen=True)
class GlueStickMatcher:
    """A :class:`..matches.LineMatcher`.

    Attributes:
        superpoint, gluestick: the networks; where they are is the business of ``resident``.
        resident: ``resident(bytes)`` puts both networks on the device they run on, with that much memory free for
            activations, and returns the device.
        detector: "exact", the published line segment detector, or "quick", OpenCV's.
        max_lines: line segments kept per picture, the best by score.
        max_points: interest points kept per picture, the best by score. They are not returned, but line matching
            looks at them.
        min_length: shortest segment, px.
        threshold: a match must score more than this, 0..1.
    """

    superpoint: SuperPoint
    gluestick: GlueStick
    resident: Callable[[int], torch.device]
    detector: Method = "quick"
    max_lines: int = 300
    max_points: int = 1000
    min_length: float = 15.0
    threshold: float = 0.2

    name: ClassVar[str] = "GlueStick"

    def match(self, first: np.ndarray, last: np.ndarray, progress: Progress = silent) -> LineMatches:
        """As :meth:`..matches.LineMatcher.match`; the segments end in the wireframe's junctions."""
        height, width = first.shape[:2]
        pictures, segments = [grey(first), grey(last)], []
        for index, picture in enumerate(pictures):
            progress(0.1 * index, "Finding line segments")
            segments.append(detect_segments(picture, self.max_lines, self.min_length, self.detector))
        device = self.resident(self.activation_bytes(height, width))
        sides = []
        for index, picture in enumerate(pictures):
            progress(0.2 + 0.2 * index, "Finding interest points")
            sides.append(self.wireframe(picture, *segments[index], device))
        progress(0.6, "Matching")
        _, lines = self.gluestick(*sides, ((width, height),) * 2, self.threshold)
        partners, scores = lines.matches[0].cpu(), lines.scores[0].cpu()
        matched = torch.nonzero(partners >= 0)[:, 0]
        matched = matched[torch.argsort(scores[matched], descending=True, stable=True)]
        start, end = (side.lines.cpu() for side in sides)
        progress(1.0, "Matching")
        return LineMatches(
            start[matched].numpy(), end[partners[matched]].numpy(), scores[matched].numpy(), (height, width)
        )

    def wireframe(
        self, picture: np.ndarray, segments: np.ndarray, scores: np.ndarray, device: torch.device
    ) -> Wireframe:
        """The wireframe of a uint8 picture [H, W] with the given segments (see :func:`.detect_segments`)."""
        pixels = torch.from_numpy(picture).to(device).float() / 255
        return build_wireframe(self.superpoint.detect(pixels[None], self.max_points), segments, scores)

    def activation_bytes(self, height: int, width: int) -> int:
        """Memory for activations at the most: SuperPoint's first stage, or GlueStick's matrices between all nodes."""
        first_stage = (
            9 * self.superpoint.conv1a.weight.shape[0] * height * width
        )  # two activations in float32, and an 8th
        nodes = self.max_points + 2 * self.max_lines
        return max(first_stage, 64 * nodes**2 + 32 * self.gluestick.final_proj.weight.shape[0] * nodes * 4)

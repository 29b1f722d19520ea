"""EbSynth propagation: key frames carried over a clip, frame by frame from both sides
(docs/methods/ebsynth.md, Propagation)."""

from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass

import numpy as np
import torch
from torch import Tensor

from ...common.helpers import Helpers
from ...common.pictures import to_uint8
from ...common.progress import Progress, part_of, silent
from ..flow.estimation import Flow, FlowModel, estimate_flow
from ..flow.warping import warp_picture
from .frame_store import belongs_on_disk, frame_store
from .guides import carried_there, edge_guide, filled, position_guide
from .plan import Interval
from .stylised_keys import StylisedKeys
from .synthesis.packed_guides import PackedGuides, SourceGuides
from .synthesis.search_level import Solution
from .synthesis.solver import EngineName, SynthesisOptions, SynthesisProblem, prepare, synthesise

CARRIED = (False, False, True, True)  # which guides, in the order of GuideWeights, move with the flow
FILL_RADIUS = {"fill": 10, "ignore": 3}  # pixels; published: 30, whose cost rivals that of the synthesis


@dataclass(frozen=True)
class GuideWeights:
    """How much each guide counts; the published values. 0 leaves a guide out."""

    colour: float = 6.0
    edge: float = 0.5
    temporal: float = 0.5
    position: float = 2.0


@dataclass(frozen=True)
class PropagationOptions:
    """How key frames are carried over a clip.

    Attributes:
        weights: of the guides.
        synthesis: of the patch synthesis; every frame has a start for the schedule "hybrid".
        engine: as for :func:`.synthesis.solver.synthesise`.
        reuse_matches: start each frame from the previous frame's matches moved by the flow instead of from the flow
            since the key frame: textures slide less, errors live longer.
        occlusion: "ignore" lets guides that were carried by flow count for nothing where the flow is occluded;
            "fill" fills them in from around, as published.
    """

    weights: GuideWeights = GuideWeights()
    synthesis: SynthesisOptions = SynthesisOptions(schedule="hybrid")
    engine: EngineName = "auto"
    reuse_matches: bool = False
    occlusion: str = "ignore"


@dataclass(frozen=True)
class Side:
    """N frames of an interval made from one of its key frames, in the order of time.

    Attributes:
        pictures: uint8 [N, H, W, 3].
        errors: float32 [N, H, W], patch errors.
        matches: int16 [N, H, W, 2], (x, y) of the matched patch in the key frame.
    """

    pictures: np.ndarray
    errors: np.ndarray
    matches: np.ndarray


@dataclass(frozen=True)
class PropagatedInterval:
    """The frames of an interval as made from its key frames.

    Attributes:
        interval: which frames; left, right: the frames made from its two key frames, None where there is no key frame.
        flows: N of float32 [H, W, 2], flow of each frame into the one before it.
    """

    interval: Interval
    left: Side | None
    right: Side | None
    flows: Sequence[np.ndarray]


class _Walk:
    """One key frame's way through an interval: keeps what is carried from frame to frame, on the device."""

    def __init__(
        self,
        key: int,
        picture: np.ndarray,
        order: Sequence[int],
        clip: "_Clip",
        options: PropagationOptions,
        device: torch.device | str,
    ):
        self.key, self.order, self.clip, self.options, self.device = key, order, clip, options, device
        height, width = picture.shape[:2]
        self.style = picture
        self.output, self.position = (
            torch.from_numpy(values).to(device) for values in (picture, position_guide(height, width))
        )
        y, x = torch.meshgrid(torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij")
        self.origin = torch.stack([x, y], dim=-1).float()  # where in the key frame each pixel comes from
        on_disk = belongs_on_disk(len(order), height * width)
        self.side = Side(
            frame_store((len(order), height, width, 3), np.uint8, on_disk),
            frame_store((len(order), height, width), np.float32, on_disk),
            frame_store((len(order), height, width, 2), np.int16, on_disk),
        )

    def source_guides(self) -> tuple[np.ndarray, ...]:
        """The guides of the key frame, uint8 [H, W, 3], in the order of :class:`GuideWeights`."""
        source = self.clip.picture(self.key)
        return source, edge_guide(source), self.style, position_guide(*source.shape[:2])

    def target_guides(self, step: int, flow: np.ndarray, occluded: np.ndarray) -> tuple[tuple[Tensor, ...], Tensor]:
        """The same of frame ``order[step]``, and where its motion is hidden, bool [H, W]; what is carried moves on."""
        target = self.clip.picture(self.order[step])
        hidden = occluded | self._outside(flow)
        uploaded = np.concatenate([target, edge_guide(target), hidden[..., None].view(np.uint8)], axis=-1)
        picture, edge, hidden_there = torch.from_numpy(uploaded).to(self.device).split([3, 3, 1], dim=-1)
        motion = torch.from_numpy(np.ascontiguousarray(flow)).to(self.device)
        hidden_there = hidden_there[..., 0].bool()
        temporal, self.position = carried_there(self.output, motion), carried_there(self.position, motion)
        if self.options.occlusion == "fill":
            temporal, self.position = self._filled([temporal, self.position], hidden)
        else:
            (self.position,) = self._filled([self.position], hidden)
        self._move_origin(motion, hidden_there)
        return (picture, edge, temporal, self.position), hidden_there

    def _filled(self, pictures: list[Tensor], hidden: np.ndarray) -> list[Tensor]:
        if not hidden.any():
            return pictures
        radius = FILL_RADIUS[self.options.occlusion]
        fresh = [filled(picture, hidden, radius) for picture in torch.stack(pictures).cpu().numpy()]
        return list(torch.from_numpy(np.stack(fresh)).to(self.device))

    @staticmethod
    def _outside(flow: np.ndarray) -> np.ndarray:
        height, width = flow.shape[:2]
        x, y = np.arange(width) + flow[..., 0], np.arange(height)[:, None] + flow[..., 1]
        return (x < -0.5) | (x > width - 0.5) | (y < -0.5) | (y > height - 0.5)

    def _move_origin(self, flow: Tensor, hidden: Tensor) -> None:
        known = (self.origin[..., :1] >= 0).float()
        moved = warp_picture(torch.cat([self.origin, known], dim=-1), flow)
        lost = hidden[..., None] | (moved[..., 2:] < 0.99)
        self.origin = torch.where(lost, -torch.ones(()), moved[..., :2])

    def take(self, step: int, painted: Solution, kept: Solution) -> None:
        """Go on from a finished frame, and keep it: ``kept`` is the same on the CPU."""
        self.output = painted.image
        sides = (self.side.pictures, self.side.matches, self.side.errors)
        for side, values in zip(sides, kept, strict=True):
            side[step] = values.numpy()
        if self.options.reuse_matches:
            self.origin = painted.nnf.float()

    def finished(self) -> Side:
        forward = len(self.order) < 2 or self.order[0] < self.order[1]
        if forward:
            return self.side
        return Side(*(values[::-1] for values in (self.side.pictures, self.side.errors, self.side.matches)))


def needed_pairs(intervals: Sequence[Interval]) -> list[tuple[int, int]]:
    """The neighbouring frames between which motion is needed, (n, n + 1)."""
    return [(number, number + 1) for first, last in (part.ends for part in intervals) for number in range(first, last)]


class _Clip:
    """The clip's frames as 8-bit pictures, converted when they are asked for."""

    def __init__(self, frames: Tensor):
        self._frames = frames

    def picture(self, number: int) -> np.ndarray:
        return to_uint8(self._frames[number])


def propagate(
    frames: Tensor,
    keys: StylisedKeys,
    intervals: Sequence[Interval],
    flow: FlowModel | Flow,
    options: PropagationOptions = PropagationOptions(),
    device: torch.device | str = "cpu",
    together: int = 1,
    masks: Tensor | None = None,
    progress: Progress = silent,
) -> Iterator[PropagatedInterval]:
    """Carry key frames over a clip, an interval after the other; only what is in work is held in memory.

    Args:
        frames: float32 [T, H, W, 3], 0..1.
        intervals: of :func:`.plan.plan_intervals`.
        flow: an estimator, asked for each interval's neighbouring frames, or flow that holds at least
            :func:`needed_pairs`.
        device: where patch synthesis computes; the engine 'numba' needs the CPU.
        together: intervals worked on at once; more keep an accelerator busy and take more memory.
        masks: bool [T, H, W], the pixels that are wanted; None = all.
        progress: told while flow is estimated and after each vote and frame, with the frame; may raise to cancel.
    """
    prepare(options.engine, device)
    clip = _Clip(frames)
    total = sum(
        len(interval.frames) * ((interval.left is not None) + (interval.right is not None)) for interval in intervals
    )
    done = 0
    for begin in range(0, len(intervals), together):
        group = intervals[begin : begin + together]
        at = part_of(progress, done / total, 0.0)
        motions = [_Motion(frames, interval, flow, at) for interval in group]
        walks = [_walks(interval, keys, clip, options, device) for interval in group]
        flat = [(walk, motion) for pair, motion in zip(walks, motions, strict=True) for walk in pair if walk]
        front = _Front(flat, options, device)
        for step in range(max(len(walk.order) for walk, _ in flat)):
            active = [(walk, motion) for walk, motion in flat if step < len(walk.order)]
            if len(active) < len(front.walks):
                front = _Front(active, options, device)
            front.advance(step, masks, part_of(progress, done / total, len(active) / total))
            done += len(active)
            progress(done / total, "", active[0][0].side.pictures[step])
        for interval, motion, (left, right) in zip(group, motions, walks, strict=True):
            yield PropagatedInterval(
                interval, left and left.finished(), right and right.finished(), motion.into_previous(interval.frames)
            )


def _walks(
    interval: Interval, keys: StylisedKeys, clip: _Clip, options: PropagationOptions, device: torch.device | str
) -> tuple:
    """The way from the left and from the right key frame; None for a side without one."""

    def walk(key: int | None, order: Sequence[int]) -> _Walk | None:
        if key is None:
            return None
        return _Walk(key, to_uint8(keys.frames[keys.numbers.index(key)]), order, clip, options, device)

    return walk(interval.left, interval.frames), walk(interval.right, interval.frames[::-1])


class _Motion:
    """Flow between neighbouring frames of an interval and its key frames."""

    def __init__(self, frames: Tensor, interval: Interval, flow: FlowModel | Flow, progress: Progress):
        first, last = interval.ends
        on_disk = belongs_on_disk(len(interval.frames), frames.shape[1] * frames.shape[2])
        self.first = first
        if isinstance(flow, Flow):
            self.flow, self.offset = flow, [flow.pairs.index((n, n + 1)) for n in range(first, last)]
        else:
            pairs = [(n, n + 1) for n in range(last - first)]

            def store(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
                kind = np.bool_ if dtype == torch.bool else np.float32
                return torch.from_numpy(frame_store(shape, kind, on_disk))

            self.flow = estimate_flow(frames[first : last + 1], pairs, flow, progress, store)
            self.offset = list(range(last - first))

    def into(self, frame: int, neighbour: int) -> tuple[np.ndarray, np.ndarray]:
        """Flow [H, W, 2] that lives on ``frame`` and points into ``neighbour``, and where it is occluded."""
        index = self.offset[min(frame, neighbour) - self.first]
        if neighbour < frame:
            return self.flow.backward[index].numpy(), self.flow.occlusion[index].numpy()
        return self.flow.forward[index].numpy(), self.flow.source_occlusion(index).numpy()

    def into_previous(self, numbers: range) -> Sequence[np.ndarray]:
        """Flow of each frame into the one before it; zeros for the first frame of a clip."""
        return [
            self.into(number, number - 1)[0] if number > self.first else np.zeros((*self.flow.size, 2), np.float32)
            for number in numbers
        ]


class _Front:
    """Walks that make their next frames together, in one batch; what they need of their key frames at every step."""

    def __init__(self, walks: Sequence[tuple[_Walk, _Motion]], options: PropagationOptions, device: torch.device | str):
        self.walks, self._options, self._device = walks, options, device
        weights = astuple(options.weights)
        self._used = [guide for guide, weight in enumerate(weights) if weight > 0]
        self._style = torch.from_numpy(np.stack([walk.style for walk, _ in walks])).to(device)
        sources = [tuple(map(torch.from_numpy, walk.source_guides())) for walk, _ in walks]
        self._sources = SourceGuides(
            [pictures.to(device) for pictures in self._batches(sources)], [weights[guide] for guide in self._used]
        )

    def _batches(self, guides: Sequence[Sequence[Tensor]]) -> list[Tensor]:
        """uint8 [B, H, W, 3] of each guide that counts, from all guides of each walk."""
        return [torch.stack([pictures[guide] for pictures in guides]) for guide in self._used]

    def advance(self, step: int, masks: Tensor | None, tell: Progress) -> None:
        """Make the frame ``order[step]`` of every walk; the other arguments as for :func:`propagate`."""

        def guides(at: tuple[_Walk, _Motion]) -> tuple[tuple[Tensor, ...], Tensor]:
            walk, motion = at
            neighbour = walk.key if step == 0 else walk.order[step - 1]
            return walk.target_guides(step, *motion.into(walk.order[step], neighbour))

        with Helpers(torch.device(self._device)) as helpers:
            targets, hidden = zip(*helpers.each(guides, self.walks), strict=True)
        packed = self._sources.packed_with(self._batches(targets))
        mask = None if masks is None else torch.stack([masks[walk.order[step]] for walk, _ in self.walks])
        problem = SynthesisProblem(
            style=self._style,
            source_guides=packed.source,
            target_guides=packed.target,
            guide_weights=packed.weights,
            modulation=self._modulation(packed, hidden),
            target_mask=None if mask is None else mask.to(self._device),
            start=torch.stack([walk.origin.round().int() for walk, _ in self.walks]),
        )
        result = synthesise(problem, self._options.synthesis, self._options.engine, tell)
        kept = _on_processor(result)
        for index, (walk, _) in enumerate(self.walks):
            walk.take(step, *(Solution(*(values[index] for values in solution)) for solution in (result, kept)))

    def _modulation(self, packed: PackedGuides, hidden: Sequence[Tensor]) -> Tensor | None:
        """uint8 [B, H, W, NG]: 0 for carried guides where their motion is hidden, else 255; None = 255 everywhere."""
        moved = [CARRIED[guide] for guide, count in zip(self._used, packed.channels, strict=True) for _ in range(count)]
        if self._options.occlusion == "fill" or not any(moved):
            return None
        known = torch.where(torch.stack(list(hidden)), 0, 255).to(torch.uint8)
        modulation = torch.full((*known.shape, len(moved)), 255, dtype=torch.uint8, device=known.device)
        for channel, moves in enumerate(moved):
            if moves:
                modulation[..., channel] = known
        return modulation


def _on_processor(solution: Solution) -> Solution:
    """All three tensors in one copy: each would wait for the device."""
    if solution.image.device.type == "cpu":
        return solution
    wide_first = solution[::-1]  # four-byte values must not begin at odd places
    flat = [values.contiguous().view(torch.uint8).flatten() for values in wide_first]
    copied = torch.cat(flat).cpu().split([len(values) for values in flat])
    parts = [values.view(like.dtype).view(like.shape) for values, like in zip(copied, wide_first, strict=True)]
    return Solution(*parts[::-1])

"""Motion layers of key frames: found once, rendered as often as timing and paths change."""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import torch
from comfy_api.latest import io, ui

from ...common.errors import BetwixtError
from ...common.number_lists import parse_part
from ...common.pictures import rgb_frames, to_float, to_uint8
from ...fcvg_core.inbetween.key_frames import DETAIL, layers_of_pair
from ...fcvg_core.inbetween.layer_preview import layer_picture, unknown_picture
from ...fcvg_core.inbetween.layers import UNEXPLAINED_SHARE, MotionLayers
from ...fcvg_core.lines.matches import LineMatches
from ...fcvg_core.poses.pose import PoseFrame
from ...fcvg_core.poses.pose_keypoint import read_pose_keypoints
from ...fcvg_core.sampling.image_conditioning import FIT_MODES, fit
from ...rerender_core.flow.estimation import Flow
from .. import sockets
from ..checked_node import CheckedNode
from ..host.services.masks import usable_mask
from ..host.services.notices import show_notice
from ..host.services.progress import NodeProgress
from ..search_words import INBETWEENS
from ..shared_inputs import gaps_input

CATEGORY = "Betwixt/No model"
REFUSE = "refuse"
KEPT = 6  # pairs of key frames whose layers stay in memory for the next run of a node without 'layers'

Pairs = Sequence[tuple[int, int]]  # numbers of the key frames at both ends of each gap


def key_frame_inputs() -> list[io.Input]:
    """The inputs ``start_image`` and ``end_image``."""
    return [
        io.Image.Input(
            "start_image",
            tooltip="First key frame; or, as a batch, several key frames in order: the clip goes through all of them.",
        ),
        io.Image.Input("end_image", tooltip="Last key frame, one picture of the same size."),
    ]


def detail_input() -> io.Combo.Input:
    """The widget ``detail``."""
    return io.Combo.Input(
        "detail",
        options=list(DETAIL),
        default="full",
        tooltip="Size at which motion is looked for: quick 512 px, for trying things out; full 1024 px. Frames always "
        "have the key frames' size.",
    )


def evidence_inputs() -> list[io.Input]:
    """What may be known about the motion."""
    return [
        sockets.LineMatches.Input(
            "line_matches",
            optional=True,
            tooltip="Matched lines of the two key frames, from 'Match Lines'. Not connected: lines are matched here, "
            "without weights.",
        ),
        sockets.Flow.Input(
            "flow",
            optional=True,
            tooltip="Optical flow between neighbouring key frames, from 'Estimate Flow'. Not connected: DIS.",
        ),
        sockets.PoseKeypoint.Input(
            "start_poses",
            optional=True,
            tooltip="Poses of the first key frame, one frame for each picture in 'start_image'; or of all key frames, "
            "when 'end_poses' is not connected. People found in both key frames then bend at their joints.",
        ),
        sockets.PoseKeypoint.Input("end_poses", optional=True, tooltip="Poses of the last key frame."),
    ]


def masks_input() -> io.Mask.Input:
    """The input ``masks``."""
    return io.Mask.Input(
        "masks",
        optional=True,
        tooltip="Masks of things in the first key frame that each move as a whole, one mask per thing. Where masks "
        "overlap the later one counts. For two key frames only.",
    )


def fit_input() -> io.Combo.Input:
    """The widget ``fit``."""
    return io.Combo.Input(
        "fit",
        options=[REFUSE, *FIT_MODES],
        default=REFUSE,
        optional=True,
        tooltip="When 'end_image' has another size than 'start_image': refuse, or fit it. crop: cut the centre; pad: "
        "black bars; stretch: distort.",
    )


def poses_of_keys(start_poses: object, end_poses: object, count: int, size: tuple[int, int]) -> list[PoseFrame] | None:
    """The poses of all ``count`` key frames of ``size`` (height, width); None when there is nothing connected.

    Raises:
        BetwixtError: another number of frames than key frames, poses of pictures of another shape.
    """
    if start_poses is None and end_poses is None:
        return None
    frames = [] if start_poses is None else list(read_pose_keypoints(start_poses, "start_poses", size))
    if end_poses is not None:
        frames += read_pose_keypoints(end_poses, "end_poses", size)
    if len(frames) != count:
        raise BetwixtError(
            f"There are {count} key frames, and poses of {len(frames)}.",
            "Poses of every key frame are needed; a picture without people has an empty list.",
            "Connect the poses of 'start_image' to 'start_poses' and those of 'end_image' to 'end_poses'.",
        )
    for frame in frames:
        frame.require_aspect(*size, "start_poses" if frame is not frames[-1] else "end_poses")
    return frames


def key_frames(start_image: torch.Tensor, end_image: torch.Tensor, fitting: str = REFUSE) -> torch.Tensor:
    """All key frames in order, float32 [K, H, W, 3].

    Args:
        fitting: how a last key frame of another size is fitted, :data:`REFUSE` or one of :data:`.FIT_MODES`.

    Raises:
        BetwixtError: pictures of different sizes, more than one last key frame, NaN.
    """
    start, end = rgb_frames(start_image, "start_image"), rgb_frames(end_image, "end_image")
    height, width = start.shape[1:3]
    if fitting == REFUSE:
        _same_size(start, end)
    if len(end) != 1:
        raise BetwixtError(
            f"'end_image' is a batch of {len(end)} frames.",
            "It is the last key frame, one picture; the ones before it go into 'start_image'.",
            "Pick one, e.g. with 'Get Image from Batch'.",
        )
    if end.shape[1:3] != (height, width):
        end = to_float(fit(to_uint8(end[0]), width, height, fitting))[None]
    return torch.cat([start.cpu(), end.cpu()]).clamp(0, 1)


def _same_size(start: torch.Tensor, end: torch.Tensor) -> None:
    (h0, w0), (h1, w1) = start.shape[1:3], end.shape[1:3]
    if (h0, w0) != (h1, w1):
        raise BetwixtError(
            f"'start_image' is {w0}x{h0} and 'end_image' is {w1}x{h1}.",
            "Both must have the same size.",
            "Set 'fit' to crop, pad or stretch, which brings 'end_image' to the size of 'start_image'.",
        )


def masks_of_things(
    masks: torch.Tensor | None, size: tuple[int, int], gaps: int, node_id: str | None
) -> np.ndarray | None:
    """The masks [N, H, W] of things in the first key frame; None when nothing is connected.

    Raises:
        BetwixtError: masks of another size, masks and several gaps.
    """
    masks = usable_mask(masks, "masks", size, 0 if masks is None else len(masks), node_id)
    if masks is None:
        return None
    if gaps > 1:
        raise BetwixtError(
            f"'masks' is connected and there are {gaps} gaps between key frames.",
            "Masks belong to one pair of key frames.",
            "Disconnect 'masks', or make one clip per pair with 'Key Frame Pairs'.",
        )
    return masks.cpu().numpy()


class LayerFinder:
    """Finds the layers of the gaps between key frames, and keeps the newest ones.

    The host caches what a node puts out, not what a node that renders as well found on the way.
    """

    def __init__(self):
        self._found: OrderedDict[str, MotionLayers] = OrderedDict()

    def __call__(
        self,
        keys: torch.Tensor,
        pairs: Pairs,
        detail: str,
        matches: LineMatches | None = None,
        flow: Flow | None = None,
        poses: Sequence[PoseFrame] | None = None,
        masks: np.ndarray | None = None,
        progress=lambda share, text: None,
    ) -> tuple[MotionLayers, ...]:
        """One value for each pair of numbers of key frames [K, H, W, 3].

        Raises:
            BetwixtError: matches or flow that do not belong to the key frames.
        """
        height, width = keys.shape[1:3]
        if matches is not None:
            _check_matches(matches, len(pairs), (height, width))
        if flow is not None:
            remedy = "Estimate the flow of the key frames, as one batch in order, between neighbours."
            flow.check(pairs, height, width, "the key frames", "The flow of every gap is needed.", remedy)
        found = []
        for number, (first, last) in enumerate(pairs):

            def tell(share: float, text: str, number=number) -> None:
                progress((number + share) / len(pairs), text)

            pictures = keys[first].numpy(), keys[last].numpy()
            fields = None if flow is None else _fields(flow, (first, last))
            people = None if poses is None else (poses[first], poses[last])
            key = _digest(pictures, detail, matches, fields, people, masks)
            if key not in self._found:
                self._found[key] = layers_of_pair(pictures, detail, matches, fields, people, masks, tell)
            self._found.move_to_end(key)
            found.append(self._found[key])
            while len(self._found) > KEPT:
                self._found.popitem(last=False)
        return tuple(found)


def _check_matches(matches: LineMatches, gaps: int, size: tuple[int, int]) -> None:
    if gaps > 1:
        raise BetwixtError(
            f"'line_matches' is connected and there are {gaps} gaps between key frames.",
            "Matched lines belong to one pair of key frames.",
            "Disconnect 'line_matches', or make one clip per pair with 'Key Frame Pairs'.",
        )
    if tuple(matches.canvas) != size:
        raise BetwixtError(
            f"The lines were matched on {matches.canvas[1]}x{matches.canvas[0]} pictures, the key frames are "
            f"{size[1]}x{size[0]}.",
            "Both must have the same size, or the lines would be in the wrong place.",
            "Connect the same pictures here and to 'Match Lines'.",
        )


def _fields(flow: Flow, pair: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    index = flow.pairs.index(pair)
    return flow.forward[index].cpu().numpy(), flow.backward[index].cpu().numpy()


def _digest(pictures, detail: str, matches: LineMatches | None, fields, people, masks) -> str:
    digest = hashlib.blake2b(detail.encode())
    arrays = [*pictures, *(fields or ()), *(() if masks is None else (masks,))]
    for frame in people or ():
        arrays += [frame.body, frame.body_score]
    if matches is not None:
        arrays += [matches.start, matches.end]
    for array in arrays:
        digest.update(f"{array.shape}".encode())
        digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()


find_layers = LayerFinder()


def tell_if_unexplained(node_id: str | None, layers: Sequence[MotionLayers], first: int = 0) -> torch.Tensor | None:
    """A notice on the node where much of the motion is not known; then also the pictures of where, [G, H, W, 3].

    ``first``: position of the first gap among all of them.
    """
    shares = [gap.unexplained for gap in layers]
    if max(shares) < UNEXPLAINED_SHARE:
        return None
    worst = int(np.argmax(shares))
    place = "" if len(layers) == 1 else f" between key frames {first + worst + 1} and {first + worst + 2}"
    show_notice(
        node_id,
        f"The motion of {shares[worst]:.0%} of the pixels{place} is not known (red in the picture); there the key "
        "frames dissolve into each other. Key frames that are closer together help, and poses where people move.",
    )
    return torch.stack([unknown_picture(gap) for gap in layers])


class FindMotionLayers(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BetwixtFindMotionLayers",
            display_name="Find Motion Layers",
            category=CATEGORY,
            description="Finds what moves together between key frames and what passes in front of what. 'Inbetween "
            "without a Model' renders the layers; a change of timing or path then does not look for them again.",
            search_aliases=["motion segmentation", "layers", *INBETWEENS],
            inputs=[
                *key_frame_inputs(),
                detail_input(),
                io.Boolean.Input(
                    "loop", default=False, tooltip="Also from the last key frame back to the first, for a loop."
                ),
                *evidence_inputs(),
                gaps_input(),
                masks_input(),
                fit_input(),
            ],
            outputs=[
                sockets.MotionLayers.Output(display_name="layers", tooltip="For 'Inbetween without a Model'."),
                io.Image.Output(
                    display_name="preview",
                    tooltip="Both key frames of each gap, every layer in a colour of its own, optical flow grey.",
                ),
                io.Image.Output(display_name="unknown", tooltip="The same, red where the motion is not known."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls,
        start_image,
        end_image,
        detail,
        loop,
        line_matches=None,
        flow=None,
        start_poses=None,
        end_poses=None,
        gaps="",
        masks=None,
        fit=REFUSE,
    ) -> io.NodeOutput:
        keys = key_frames(start_image, end_image, fit)
        pairs = gap_pairs(len(keys), loop)
        part = parse_part(gaps, "gaps", len(pairs), "gaps")
        pairs = pairs[part.start : part.stop]
        progress = NodeProgress(cls.hidden.unique_id)
        size = tuple(keys.shape[1:3])
        poses = poses_of_keys(start_poses, end_poses, len(keys), size)
        things = masks_of_things(masks, size, len(pairs), cls.hidden.unique_id)
        layers = find_layers(keys, pairs, detail, line_matches, flow, poses, things, progress)
        tell_if_unexplained(cls.hidden.unique_id, layers, part.start)
        preview = torch.stack([layer_picture(gap) for gap in layers])
        unknown = torch.stack([unknown_picture(gap) for gap in layers])
        return io.NodeOutput(layers, preview, unknown, ui=ui.PreviewImage(preview, cls=cls))


def gap_pairs(count: int, loop: bool) -> list[tuple[int, int]]:
    """Numbers of the key frames at both ends of each gap."""
    return [(number, (number + 1) % count) for number in range(count if loop else count - 1)]


NODES = [FindMotionLayers]

"""EbSynth: a clip painted like a few of its frames. In one node, or propagation and blending apart."""

from dataclasses import dataclass, replace

import comfy.model_management as management
import torch
from comfy_api.latest import io

from ...common.clips.scene_cuts import find_cuts
from ...common.errors import BetwixtError
from ...common.number_lists import parse_part, parse_whole_numbers
from ...common.pictures import rgb_frames
from ...rerender_core.ebsynth.blending.interval import BlendOptions
from ...rerender_core.ebsynth.colour_drift import colour_drift, drift_report
from ...rerender_core.ebsynth.plan import frames_of_part, plan_intervals
from ...rerender_core.ebsynth.propagation import PropagatedInterval, PropagationOptions, needed_pairs, propagate
from ...rerender_core.ebsynth.stylisation import ClipOptions, Region, finish_interval, stylise_clip
from ...rerender_core.ebsynth.stylised_keys import StylisedKeys
from ...rerender_core.flow.estimation import Flow, FlowModel
from .. import sockets
from ..checked_node import CheckedNode
from ..host.services.masks import usable_mask
from ..host.services.memory import require_memory
from ..host.services.notices import show_notice, tell_odd_size
from ..host.services.partial_results import PartialResults, what_ended_it
from ..host.services.progress import NodeProgress
from ..search_words import STYLED_VIDEO
from ..shared_inputs import KEEP_FINISHED, on_cancel_input
from .inputs import (
    CATEGORY,
    PatchSynthesisSettings,
    blend_detail_inputs,
    blend_mode_input,
    cuts_input,
    intervals_input,
    mask_use_inputs,
    optional_inputs,
)

PARTIAL = PartialResults()
MOST_TOGETHER = 16
BYTES_PER_PIXEL = 600  # of one synthesis with four guides at patch 5, torch engine


@dataclass(frozen=True)
class ClipToPaint:
    """A clip, its painted key frames and its motion, checked to fit each other; the frames ``numbers`` are wanted."""

    frames: torch.Tensor
    keys: StylisedKeys
    motion: FlowModel | Flow
    options: ClipOptions
    region: Region | None
    numbers: range

    def report(self, painted: torch.Tensor) -> str:
        """Colour drift of the wanted frames against the key frames."""
        masks = None if self.region is None else self.region.masks > 0.5
        return drift_report(colour_drift(painted, self.keys, masks, self.numbers.start), self.numbers.start)


@dataclass(frozen=True)
class PropagatedClip:
    """What 'EbSynth Propagate' hands to 'EbSynth Blend'."""

    clip: ClipToPaint
    parts: tuple[PropagatedInterval, ...]


def _clip_inputs() -> list[io.Input]:
    return [
        io.Image.Input("frames", tooltip="The clip, all frames."),
        sockets.StylisedKeys.Input("keys", tooltip="The painted key frames, from 'Place Key Frames'."),
        cuts_input(),
        *mask_use_inputs(),
    ]


def _clip_to_paint(
    frames, keys, scene_cuts, mask, mask_use, feather, flow_model, flow, settings, wanted, node_id
) -> ClipToPaint:
    """The inputs of a node, checked; nothing is computed before all of it is known to fit."""
    frames = rgb_frames(frames, "frames")
    keys.check_clip(len(frames), *frames.shape[1:3])
    cuts = find_cuts(frames) if scene_cuts == "find" else ()
    intervals = plan_intervals(len(frames), keys.numbers, cuts)
    part = parse_part(wanted, "intervals", len(intervals), "intervals")
    numbers = frames_of_part(intervals, part, len(frames))
    intervals = intervals[part.start : part.stop]
    if flow is not None:
        flow.check(
            needed_pairs(intervals),
            *frames.shape[1:3],
            "the frames connected to 'frames'",
            "The flow of every frame and its successor is needed.",
            "Set 'between' of 'Estimate Flow' to 'neighbours', on the same clip.",
        )
    elif flow_model is None and intervals:
        raise BetwixtError(
            "Neither 'flow_model' nor 'flow' is connected.",
            "Paint is carried along the motion of the clip.",
            "Connect 'Load Flow Model' to 'flow_model'; its method DIS needs no file.",
        )
    mask = usable_mask(mask, "mask", frames.shape[1:3], len(frames), node_id)
    region = None
    if mask is not None:
        region = Region.of(mask, len(frames), *frames.shape[1:3], mask_use == "before", feather)
    together = _together(frames, len(intervals))
    options = ClipOptions(settings or PropagationOptions(), cuts=cuts, together=together, part=part)
    return ClipToPaint(frames, keys, flow_model if flow is None else flow, options, region, numbers)


def _together(frames: torch.Tensor, intervals: int) -> int:
    """Intervals worked on at once: an accelerator is kept busy by several, a processor by one. Models that the host
    holds on the device make room."""
    device = management.get_torch_device()
    if device.type == "cpu":
        return 1
    most = max(1, min(MOST_TOGETHER, intervals))
    need = 2 * BYTES_PER_PIXEL * frames.shape[1] * frames.shape[2]
    management.free_memory(2 * most * need, device)
    return max(1, min(most, int(0.5 * management.get_free_memory(device) / need)))


class PlaceKeyframes(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BetwixtPlaceKeyFrames",
            display_name="Place Key Frames",
            category=CATEGORY,
            description="Says to which frames of a clip painted pictures belong.",
            search_aliases=["keyframes", "ebsynth", "stylized keys", *STYLED_VIDEO],
            inputs=[
                io.Image.Input("pictures", tooltip="The painted key frames, in the order of the numbers."),
                io.String.Input(
                    "numbers",
                    default="0",
                    tooltip="Frame of the clip each picture belongs to, counted from 0, e.g. 0, 12, 24.",
                ),
            ],
            outputs=[sockets.StylisedKeys.Output(display_name="keys", tooltip="For the EbSynth nodes.")],
        )

    @classmethod
    def execute(cls, pictures, numbers) -> io.NodeOutput:
        pictures = rgb_frames(pictures, "pictures")
        return io.NodeOutput(StylisedKeys.of(pictures, parse_whole_numbers(numbers, "numbers")))


class StyliseClip(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BetwixtStyliseClip",
            display_name="Stylise Clip from Key Frames",
            category=CATEGORY,
            description="EbSynth in one node: paints a whole clip like a few painted frames. Streams: memory grows "
            "with the distance of the key frames, not with the clip.",
            search_aliases=["ebsynth", "propagate", "style transfer", "paint", *STYLED_VIDEO],
            inputs=[
                *_clip_inputs(),
                blend_mode_input(),
                on_cancel_input(
                    "Cancel, or a frame that fails: go on with the frames that are finished and the clip's own "
                    "for the rest, or stop the graph."
                ),
                *optional_inputs(),
                intervals_input(),
            ],
            outputs=[
                io.Image.Output(display_name="frames", tooltip="The painted clip, as long as the input."),
                io.String.Output(display_name="report", tooltip="Colour drift per frame against the key frames."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def fingerprint_inputs(cls, **inputs):
        return PARTIAL.fingerprint(cls.hidden.unique_id)

    @classmethod
    def execute(
        cls,
        frames,
        keys,
        scene_cuts,
        mask_use,
        feather,
        blend,
        on_cancel,
        flow_model=None,
        flow=None,
        mask=None,
        settings=None,
        intervals="",
    ) -> io.NodeOutput:
        node_id = cls.hidden.unique_id
        clip = _clip_to_paint(
            frames, keys, scene_cuts, mask, mask_use, feather, flow_model, flow, settings, intervals, node_id
        )
        size = clip.frames.shape[1:3]
        require_memory(len(clip.numbers), *size, 12, "painted frames", "Paint fewer at once with 'intervals'.")
        tell_odd_size(node_id, *size)
        options = replace(clip.options, blend=BlendOptions(mode=blend))
        device = management.get_torch_device()
        first, finished = clip.numbers.start, 0
        out = clip.frames[first : clip.numbers.stop].clone()
        try:
            for number, frame in stylise_clip(
                clip.frames, keys, clip.motion, options, clip.region, device, NodeProgress(node_id)
            ):
                out[number - first] = frame
                finished += 1
        except (management.InterruptProcessingException, Exception) as error:  # whatever fails, finished work is kept
            if on_cancel != KEEP_FINISHED or finished <= sum(number in clip.numbers for number in keys.numbers):
                raise
            PARTIAL.note(node_id)
            show_notice(
                node_id,
                f"{what_ended_it(error)}. {finished} of {len(out)} frames are painted; the others are the clip's own.",
            )
        return io.NodeOutput(out, clip.report(out))


class EbSynthPropagate(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BetwixtEbSynthPropagate",
            display_name="EbSynth Propagate",
            category=CATEGORY,
            description="Carries painted key frames over a clip from both sides, for 'EbSynth Blend', with the "
            "intermediate results to look at. Keeps everything in memory; 'Stylise Clip from Key Frames' streams.",
            search_aliases=["ebsynth", "patch match", "error map", *STYLED_VIDEO],
            inputs=[*_clip_inputs(), *optional_inputs(), intervals_input()],
            outputs=[
                sockets.Propagation.Output(display_name="propagation", tooltip="For 'EbSynth Blend'."),
                io.Image.Output(display_name="from_left", tooltip="Frames made from the key frame before them."),
                io.Image.Output(display_name="from_right", tooltip="Frames made from the key frame after them."),
                io.Mask.Output(
                    display_name="error_left", tooltip="Patch error of 'from_left', 1 = the clip's largest."
                ),
                io.Mask.Output(display_name="error_right", tooltip="Patch error of 'from_right', on the same scale."),
                io.Image.Output(
                    display_name="matches",
                    tooltip="Where in the nearer key frame each pixel comes from: red = x, green = y.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls,
        frames,
        keys,
        scene_cuts,
        mask_use,
        feather,
        flow_model=None,
        flow=None,
        mask=None,
        settings=None,
        intervals="",
    ) -> io.NodeOutput:
        node_id = cls.hidden.unique_id
        clip = _clip_to_paint(
            frames, keys, scene_cuts, mask, mask_use, feather, flow_model, flow, settings, intervals, node_id
        )
        frames, options, numbers = clip.frames, clip.options, clip.numbers
        require_memory(
            len(frames), *frames.shape[1:3], 90, "frames", "'Stylise Clip from Key Frames' needs less: it streams."
        )
        planned = plan_intervals(len(frames), keys.numbers, options.cuts)
        parts = propagate(
            frames,
            keys,
            planned[options.part.start : options.part.stop],
            clip.motion,
            options.propagation,
            management.get_torch_device(),
            options.together,
            None if clip.region is None else clip.region.wanted(),
            NodeProgress(node_id),
        )
        propagated = PropagatedClip(clip, tuple(parts))
        return io.NodeOutput(propagated, *(shown[numbers.start : numbers.stop] for shown in _shown(propagated)))


def _shown(propagated: PropagatedClip) -> tuple[torch.Tensor, ...]:
    """Pictures from the left and right, their errors, and the matches, for the whole clip; those outside the wanted
    intervals are the clip's own."""
    clip = propagated.clip
    count, height, width = clip.frames.shape[:3]
    left, matches = clip.frames.clone(), torch.zeros(count, height, width, 3)
    for index, number in enumerate(clip.keys.numbers):
        left[number] = clip.keys.frames[index]
    right, errors = left.clone(), torch.zeros(2, count, height, width)
    for part in propagated.parts:
        first, last = part.interval.frames[0], part.interval.frames[-1] + 1
        for picture, error, side in ((left, errors[0], part.left), (right, errors[1], part.right)):
            if side is None:
                continue
            picture[first:last] = torch.from_numpy(side.pictures.copy()).float() / 255
            error[first:last] = torch.from_numpy(side.errors.copy())
        for index, number in enumerate(part.interval.frames):
            nearer = part.left if part.right is None else part.right
            if part.left is not None and part.right is not None:
                nearer = part.left if number - part.interval.left <= part.interval.right - number else part.right
            place = torch.from_numpy(nearer.matches[index].copy()).float()
            matches[number, ..., :2] = place / torch.tensor([max(width - 1, 1), max(height - 1, 1)])
    errors /= errors.max().clamp_min(1e-6)
    return left, right, errors[0], errors[1], matches.clamp(0, 1)


class EbSynthBlend(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BetwixtEbSynthBlend",
            display_name="EbSynth Blend",
            category=CATEGORY,
            description="Joins the frames propagated from both key frames: selection by error, contrast-preserving "
            "mix, screened Poisson.",
            search_aliases=["ebsynth", "poisson", "histogram blend"],
            inputs=[
                sockets.Propagation.Input("propagation", tooltip="From 'EbSynth Propagate'."),
                blend_mode_input(),
                *blend_detail_inputs(),
            ],
            outputs=[
                io.Image.Output(display_name="frames", tooltip="The finished clip."),
                io.Mask.Output(display_name="selection", tooltip="1 where the later key frame is nearer the truth."),
                io.String.Output(display_name="report", tooltip="Colour drift per frame against the key frames."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, propagation, blend, solver, published_weights, mirrored_errors, keep_precision) -> io.NodeOutput:
        clip, progress = propagation.clip, NodeProgress(cls.hidden.unique_id)
        require_memory(*clip.frames.shape[:3], 16, "frames", "'Stylise Clip from Key Frames' needs less: it streams.")
        blending = BlendOptions(blend, solver, published_weights, mirrored_errors)
        options = replace(clip.options, blend=blending, keep_precision=keep_precision)
        out = clip.frames.clone()
        selection = torch.zeros(out.shape[:3])
        for index, number in enumerate(clip.keys.numbers):
            out[number] = clip.keys.frames[index]
        for index, part in enumerate(propagation.parts):
            progress(index / len(propagation.parts))
            for number, frame, from_right in finish_interval(part, clip.frames, clip.keys, options, clip.region):
                out[number] = frame
                selection[number] = from_right
        wanted = slice(clip.numbers.start, clip.numbers.stop)
        return io.NodeOutput(out[wanted], selection[wanted], clip.report(out[wanted]))


NODES = [PlaceKeyframes, PatchSynthesisSettings, StyliseClip, EbSynthPropagate, EbSynthBlend]

"""Key frames in a new style, held together by any subset of Rerender-A-Video's constraints."""

from itertools import chain

import torch
from comfy.model_management import throw_exception_if_processing_interrupted as raise_if_cancelled
from comfy_api.latest import io

from ...common.errors import BetwixtError
from ...common.number_lists import parse_part, parse_whole_numbers
from ...common.pictures import rgb_frames
from ...common.progress import part_of
from ...rerender_core.ebsynth.stylised_keys import StylisedKeys
from ...rerender_core.keyframes.constraints import KeyframeConstraints, remarks
from ...rerender_core.keyframes.correspondence import check_flow, correspondence_from, needed_pairs
from ...rerender_core.keyframes.flow_ahead import FlowAhead
from ...rerender_core.keyframes.rendering import KeyframeSettings
from ...rerender_core.keyframes.selection import parse_key_numbers
from .. import sockets
from ..checked_node import CheckedNode
from ..host.rerender.frame_conditioning import check_conditioning, check_text
from ..host.rerender.keyframe_job import KeyframeJob
from ..host.rerender.rendering import HostRendering, is_xl, require_model
from ..host.rerender.sampler import alphas, published_sigmas
from ..host.rerender.unclamped_vae import UnclampedVAE
from ..host.services.masks import usable_mask
from ..host.services.notices import show_notice
from ..host.services.partial_results import PartialResults
from ..host.services.progress import NodeProgress
from ..picture_size import whole_cells
from ..search_words import STYLED_VIDEO
from ..shared_inputs import KEEP_FINISHED, on_cancel_input, part_input, seed_input

FLOW_SHARE = 0.05  # of the progress bar
PARTIAL = PartialResults()


def _anchor_input() -> io.DynamicCombo.Input:
    regular = io.DynamicCombo.Option(
        "every",
        [io.Int.Input("count", default=5, min=1, max=10000, tooltip="The anchor is renewed every so many key frames.")],
    )
    numbers = io.String.Input(
        "numbers",
        default="",
        tooltip="Frame numbers of the key frames that take over as anchor, or begin a shot, e.g. 30, 60; 'shots' of "
        "'Select Key Frames' fits. Empty: none.",
    )
    listed, shots = (io.DynamicCombo.Option(key, [numbers]) for key in ("at", "first of each shot"))
    return io.DynamicCombo.Input(
        "anchor",
        options=[io.DynamicCombo.Option("first key frame", []), regular, listed, shots],
        tooltip="The frame all others are held to. The first one as published; renew it in long clips, where little "
        "of the first frame can still be seen. 'first of each shot' holds nothing to what was before the shot.",
    )


class RerenderKeyframes(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BetwixtRerenderKeyFrames",
            display_name="Rerender Key Frames",
            category="Betwixt/Rerender",
            description="Stylises the key frames of a clip one after the other with a Stable Diffusion 1.5 model, its "
            "LoRAs and ControlNets, and holds them together by the connected constraints.",
            search_aliases=["rerender a video", "vid2vid", "video to video", "stylize video", *STYLED_VIDEO],
            inputs=[
                io.Model.Input("model", tooltip="SD1.x or SD2.x, any LoRA, inpainting models too; SDXL experimental."),
                io.Vae.Input("vae", tooltip="Its VAE; the authors use vae-ft-mse-840000-ema-pruned."),
                io.Conditioning.Input(
                    "positive", tooltip="Prompt, with ControlNets whose hints have one picture per frame."
                ),
                io.Conditioning.Input("negative", tooltip="Negative prompt, through the same ControlNets."),
                io.Image.Input(
                    "key_frames", tooltip="The key frames; the first one is the anchor. Multiples of 64 pixels."
                ),
                io.Int.Input(
                    "steps", default=20, min=2, max=200, tooltip="Sampling steps; published: 20. Every number works."
                ),
                io.Float.Input(
                    "cfg",
                    default=7.5,
                    min=1.0,
                    max=30.0,
                    step=0.1,
                    tooltip="Guidance; 1 ignores the negative prompt and halves the time.",
                ),
                io.Float.Input(
                    "strength",
                    default=0.75,
                    min=0.05,
                    max=1.05,
                    step=0.01,
                    tooltip="SDEdit amount: 0.05 hardly changes the frames, 0.75 keeps their layout, above 1 begins "
                    "with pure noise. Below about 0.9 Shape-Aware Fusion comes too early to act.",
                ),
                seed_input("The noise, the same for all frames.", after_generate=True),
                io.Boolean.Input(
                    "first_frame_only",
                    default=False,
                    tooltip="Renders the anchor alone, to tune prompt, strength and seed.",
                ),
                _anchor_input(),
                io.Boolean.Input(
                    "keep_colours",
                    default=True,
                    tooltip="On: begins with the frames' own colours. Off: renders the first frame from pure noise "
                    "once and gives all frames its colours before they are stylised.",
                ),
                on_cancel_input(
                    "Cancel, or a key frame that fails: go on with the finished key frames, or stop the graph."
                ),
                sockets.KeyframeConstraints.Input(
                    "constraints",
                    optional=True,
                    tooltip="The chain of constraints; without it every frame is stylised on its own.",
                ),
                sockets.FlowModel.Input(
                    "flow_model", optional=True, tooltip="Measures the motion between the key frames."
                ),
                sockets.Flow.Input(
                    "flow",
                    optional=True,
                    tooltip="Flow of the key frames instead of a flow model, from 'Estimate Flow'.",
                ),
                io.Sigmas.Input("sigmas", optional=True, tooltip="Another noise schedule instead of 'steps'."),
                io.String.Input(
                    "key_numbers",
                    optional=True,
                    force_input=True,
                    tooltip="Frame numbers from 'Select Key Frames'; without them 0, 1, 2, ...",
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Where to stylise (1); the rest keeps the input. One mask, one per key frame, or with "
                    "'key_numbers' one per frame of the clip.",
                ),
                part_input("shots", "With 'anchor: first of each shot'; otherwise all key frames are one shot."),
            ],  # fmt: skip
            outputs=[
                io.Image.Output(display_name="key_frames", tooltip="The stylised key frames."),
                io.Latent.Output(display_name="latent", tooltip="Their latents."),
                sockets.StylisedKeys.Output(
                    display_name="stylized_keys", tooltip="The key frames with their frame numbers, for propagation."
                ),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def fingerprint_inputs(cls, **inputs):
        return PARTIAL.fingerprint(cls.hidden.unique_id)

    @classmethod
    def execute(
        cls,
        model,
        vae,
        positive,
        negative,
        key_frames,
        steps,
        cfg,
        strength,
        seed,
        first_frame_only,
        anchor,
        keep_colours,
        on_cancel,
        constraints=None,
        flow_model=None,
        flow=None,
        sigmas=None,
        key_numbers=None,
        mask=None,
        shots="",
    ) -> io.NodeOutput:
        frames, constraints = rgb_frames(key_frames, "key_frames"), constraints or KeyframeConstraints()
        whole_cells(frames, "key_frames")
        numbers = _numbers(key_numbers, frames.shape[0], first_frame_only)
        require_model(model)
        for conditioning, name in ((positive, "positive"), (negative, "negative")):
            check_text(conditioning, model, name)
            check_conditioning(conditioning, frames.shape[0], name)
        region = _region(mask, frames, numbers if key_numbers is not None else (), cls.hidden.unique_id)
        if sigmas is None:
            sigmas, nominal = published_sigmas(model.get_model_object("model_sampling"), steps), steps
        else:
            sigmas, nominal = _checked_sigmas(sigmas), len(sigmas) - 1
        refresh, all_shots = _shots(anchor, numbers)
        part = parse_part(shots, "shots", len(all_shots), "shots")
        wanted = all_shots[part.start : part.stop]
        if first_frame_only:
            wanted = [range(wanted[0].start, wanted[0].start + 1)]
        settings = KeyframeSettings(alphas(sigmas), nominal, strength, constraints, refresh, keep_colours)
        unclamped = UnclampedVAE(vae)
        count = sum(map(len, wanted))
        pairs = [
            (shot.start + earlier, shot.start + later)
            for shot in wanted
            for earlier, later in needed_pairs(len(shot), refresh, constraints)
        ]
        _check_flow_inputs(flow, flow_model, pairs, frames)
        node_id = cls.hidden.unique_id
        _show_remarks(node_id, model, settings)

        progress = NodeProgress(node_id)
        between = None if flow is None else correspondence_from(flow)
        if pairs and flow is None:
            between = FlowAhead(frames, pairs, flow_model, part_of(progress, 0, FLOW_SHARE), raise_if_cancelled)
        steps_in_all = sum(settings.model_steps(len(shot)) for shot in wanted)
        job = KeyframeJob(model, steps_in_all, count, progress, FLOW_SHARE if pairs else 0.0)

        def rendered(shot: range):
            host = HostRendering(
                model, unclamped, positive, negative, cfg, sigmas, seed, constraints.cross_frame, job.report, shot.start
            )
            own = slice(shot.start, shot.stop)
            masks = region if region is None or len(region) == 1 else region[own]
            return host.renderer(frames[own], _of_shot(between, shot), settings, masks).render(len(shot))

        reason = job.collect(chain.from_iterable(map(rendered, wanted)), on_cancel == KEEP_FINISHED)
        if reason is not None:
            PARTIAL.note(node_id)
            show_notice(node_id, f"{reason}. {job.finished} of {count} key frames are finished and go on.")
        latent = {"samples": model.model.process_latent_out(job.latents)}
        finished = numbers[wanted[0].start :][: job.finished]
        return io.NodeOutput(job.pictures, latent, StylisedKeys(job.pictures, finished))


def _numbers(text: str | None, count: int, first_frame_only: bool) -> tuple[int, ...]:
    if count < 2 and not first_frame_only:
        raise BetwixtError(
            "'key_frames' holds one frame.",
            "At least two key frames are needed.",
            "Connect 'Select Key Frames', or switch 'first_frame_only' on.",
        )
    if text is None:
        return tuple(range(count))
    numbers = parse_key_numbers(text, "key_numbers")
    if len(numbers) != count:
        raise BetwixtError(
            f"'key_frames' holds {count} frames and 'key_numbers' {len(numbers)} numbers.",
            "Every key frame needs its number.",
            "Take both from the same 'Select Key Frames'.",
        )
    return tuple(numbers)


def _shots(anchor: dict, numbers: tuple[int, ...]) -> tuple[frozenset[int], list[range]]:
    """Positions of the key frames that take over as anchor, and the shots that are rendered apart, one after the
    other, as ranges of positions."""
    whole = [range(len(numbers))]
    match anchor["anchor"]:
        case "first key frame":
            return frozenset(), whole
        case "every":
            return frozenset(range(anchor["count"], len(numbers), anchor["count"])), whole
    wanted = parse_whole_numbers(anchor["numbers"], "numbers")
    unknown = [number for number in wanted if number not in numbers]
    if unknown:
        raise BetwixtError(
            f"Frame {unknown[0]} is to become the anchor and is no key frame.",
            f"The key frames are {', '.join(map(str, numbers))}.",
            "Correct 'numbers' of 'anchor'.",
        )
    positions = frozenset(numbers.index(number) for number in wanted)
    if anchor["anchor"] == "at":
        return positions, whole
    begins = sorted(positions | {0})
    return frozenset(), [range(*ends) for ends in zip(begins, [*begins[1:], len(numbers)], strict=True)]


def _of_shot(between, shot: range):
    """Correspondence by positions within a shot, from that by positions among all key frames."""
    if between is None:
        return None
    return lambda earlier, later: between(shot.start + earlier, shot.start + later)


def _region(mask, frames: torch.Tensor, numbers: tuple[int, ...], node_id: str | None) -> torch.Tensor | None:
    """One mask or one per key frame, [1 or N, H, W] in 0..1; of a whole clip's masks those with the ``numbers``."""
    count = frames.shape[0]
    if mask is not None and numbers and mask.shape[0] > max(count, numbers[-1]):
        mask = mask[list(numbers)]
    return usable_mask(mask, "mask", frames.shape[1:3], count, node_id)


def _checked_sigmas(sigmas: torch.Tensor) -> torch.Tensor:
    sigmas = sigmas.float().cpu()
    falling = sigmas.ndim == 1 and len(sigmas) > 1 and bool((sigmas[1:] < sigmas[:-1]).all())
    if not falling or not bool((sigmas[:-1] > 0).all()):
        raise BetwixtError(
            "'sigmas' is no noise schedule that this sampler can follow.",
            "At least two values are needed, each below the one before, all but the last above 0.",
            "Disconnect 'sigmas' and use 'steps', or connect a scheduler node without splitting it to nothing.",
        )
    return sigmas


def _check_flow_inputs(flow, flow_model, pairs: list, frames: torch.Tensor) -> None:
    if not pairs:
        return
    if flow is not None:
        check_flow(flow, pairs, *frames.shape[1:3])
    elif flow_model is None:
        raise BetwixtError(
            "Neither 'flow_model' nor 'flow' is connected.",
            "Shape-Aware and Pixel-Aware Fusion move pictures along the motion between the key frames.",
            "Connect 'Load Flow Model' to 'flow_model'.",
        )


def _show_remarks(node_id: str | None, model, settings: KeyframeSettings) -> None:
    found = remarks(settings.constraints, settings.total, settings.nominal, settings.strength)
    if is_xl(model):
        found.append("SDXL is experimental here: the method was published for Stable Diffusion 1.5 only.")
    if found:
        show_notice(node_id, " ".join(found))


NODES = [RerenderKeyframes]

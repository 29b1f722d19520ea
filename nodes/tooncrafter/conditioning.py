"""Key drawings and prompts for ToonCrafter and DynamiCrafter, one pair or several."""

from collections.abc import Sequence

import torch
from comfy_api.latest import io

from ...common.errors import BetwixtError
from ...common.number_lists import parse_part, parse_whole_numbers
from ...common.pictures import rgb_frames, single_frame
from ...tooncrafter_core import keyframes as preparation
from ...tooncrafter_core.keyframes import FIT_MODES, SIZE_STEP, TASKS, check_size
from .. import sockets
from ..checked_node import CheckedNode
from ..host.services.notices import show_notice
from ..host.tooncrafter.conditioning import Keyframes, check_text, condition
from ..search_words import INBETWEENS
from ..shared_inputs import frame_count_input, gaps_input

CATEGORY = "Betwixt/ToonCrafter"
AS_TRAINED = "as the model was trained"
TRAINED_FRAMES = 16
LONGEST = 64
MOST_CLIPS = 64
LONGEST_RETIMED = 10000  # as 'Retime Clip' allows
FASTEST = 60  # largest frame-rate number


def _size_inputs() -> list[io.Input]:
    size = {"min": SIZE_STEP, "max": 4096, "step": SIZE_STEP}
    return [
        io.Int.Input(
            "width", default=512, **size, tooltip="Width of the clip, a multiple of 64. Trained on 512 (1024, 256)."
        ),
        io.Int.Input(
            "height", default=320, **size, tooltip="Height of the clip, a multiple of 64. Trained on 320 (576, 256)."
        ),
        io.Combo.Input(
            "fit",
            options=list(FIT_MODES),
            default="published",
            tooltip="How key frames of another shape are fitted. published: the shorter side to the clip's, then cut "
            "or filled with grey; crop: cover and cut; pad: keep all and fill with grey; stretch: distort.",
        ),
    ]


def _clip_inputs() -> list[io.Input]:
    return [
        frame_count_input(
            "Frames of the clip, both key frames included. Trained on 16: with any other number every frame "
            "sees the same picture tokens. For other lengths generate 16 and use 'Retime Clip'.",
            default=TRAINED_FRAMES,
            longest=LONGEST,
        ),
        io.Int.Input(
            "fs",
            default=0,
            min=0,
            max=FASTEST,
            tooltip="Frames per second the model is told: 5 = large motion, 30 = small. DynamiCrafter 256: frame "
            "stride, 1 = small, 6 = large. 0 = the model's published value (10 for ToonCrafter).",
        ),
        io.Combo.Input(
            "task",
            options=[AS_TRAINED, *TASKS],
            default=AS_TRAINED,
            tooltip="between two pictures: interpolation; loop: both ends are the start picture; from one picture: "
            "animation of the start picture.",
        ),
    ]


class ToonCrafterConditioning(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BetwixtToonCrafterConditioning",
            display_name="ToonCrafter Conditioning",
            category=CATEGORY,
            description="Prepares key drawings and prompts for ToonCrafter or DynamiCrafter exactly as published: "
            "fitted pictures, image tokens, key latents, frame rate; and the references for the decoder.",
            search_aliases=[
                "tooncrafter",
                "dynamicrafter",
                "key frames",
                "interpolate drawings",
                "image to video",
                *INBETWEENS,
            ],
            inputs=[
                sockets.FirstStage.Input("first_stage", tooltip="From 'Load ToonCrafter'."),
                io.ClipVision.Input(
                    "clip_vision",
                    tooltip="CLIP ViT-H's image encoder: from 'Load ToonCrafter', or 'Load CLIP Vision' for pruned "
                    "files.",
                ),
                io.Conditioning.Input("positive", tooltip="What happens, as text; the first 77 tokens are read."),
                io.Conditioning.Input("negative", tooltip="Empty text as published, or what to avoid."),
                io.Image.Input("start_image", tooltip="First key drawing; the one whose look the whole clip follows."),
                *_size_inputs(),
                *_clip_inputs(),
                io.Image.Input(
                    "end_image", optional=True, tooltip="Last key drawing; not needed for loops and single pictures."
                ),
                io.Int.Input(
                    "clips",
                    default=1,
                    min=1,
                    max=MOST_CLIPS,
                    optional=True,
                    tooltip="Clips to sample side by side, each from other noise: as many takes of the same inbetweens "
                    "in one run. 'Dual-Reference Decode' puts them out one after the other.",
                ),
            ],
            outputs=[
                io.Conditioning.Output(display_name="positive", tooltip="Text and pictures."),
                io.Conditioning.Output(display_name="negative", tooltip="Negative text, grey picture."),
                io.Conditioning.Output(
                    display_name="pictures_only", tooltip="Negative text and pictures, for 'Three-Way Guider'."
                ),
                io.Latent.Output(
                    display_name="latent", tooltip="The empty clips [clips * frames, 4, height / 8, width / 8]."
                ),
                sockets.References.Output(
                    display_name="references", tooltip="What the decoder copies detail from: both key frames."
                ),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls,
        first_stage,
        clip_vision,
        positive,
        negative,
        start_image,
        width,
        height,
        fit,
        frame_count,
        fs,
        task,
        end_image=None,
        clips=1,
    ) -> io.NodeOutput:
        variant = first_stage.variant
        if task == AS_TRAINED:
            task = TASKS[0] if variant.between_pictures else TASKS[2]
        key_frames = Keyframes(_pictures(start_image, end_image, task), (width, height), fit, task)
        complete = [check_text(positive, first_stage, "positive"), check_text(negative, first_stage, "negative")]
        fs = fs or variant.default_fs
        conditioned = condition(first_stage, clip_vision, positive, negative, key_frames, frame_count, fs, clips)
        notes = []
        if not all(complete):
            notes.append("The prompt is longer than 77 tokens; the model reads the first 77, the rest is left out.")
        if frame_count != TRAINED_FRAMES:
            notes.append(
                f"{frame_count} frames: the model was trained on {TRAINED_FRAMES}; generate {TRAINED_FRAMES} and use "
                "'Retime Clip' for a steadier result."
            )
        if notes:
            show_notice(cls.hidden.unique_id, " ".join(notes))
        return io.NodeOutput(
            conditioned.positive,
            conditioned.negative,
            conditioned.pictures_only,
            conditioned.latent,
            conditioned.references,
        )


def _pictures(start_image, end_image, task: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Both key frames [H, W, 3]; the first one twice where the task needs one."""
    start = single_frame(start_image, "start_image")
    if task != TASKS[0]:
        return start, start
    if end_image is None:
        raise BetwixtError(
            "'end_image' is not connected.",
            "Inbetweens need two key frames.",
            "Connect the last key frame, or set 'task' to 'loop' or 'from one picture'.",
        )
    return start, single_frame(end_image, "end_image")


class EncodeWithReferences(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BetwixtEncodeWithReferences",
            display_name="Encode with References",
            category=CATEGORY,
            description="Encodes two pictures with ToonCrafter's first stage: their latents, and the references that "
            "'Dual-Reference Decode' copies detail from. Lets a clip be decoded with other references than it was "
            "generated from, e.g. coloured ones.",
            search_aliases=["vae encode", "tooncrafter", "references"],
            inputs=[
                sockets.FirstStage.Input("first_stage", tooltip="From 'Load ToonCrafter'."),
                io.Image.Input("start_image", tooltip="Reference for the first frame."),
                io.Image.Input("end_image", tooltip="Reference for the last frame; may have another size."),
                *_size_inputs(),
            ],
            outputs=[
                io.Latent.Output(display_name="latent", tooltip="Both latents [2, 4, height / 8, width / 8]."),
                sockets.References.Output(display_name="references", tooltip="For 'Dual-Reference Decode'."),
            ],
        )

    @classmethod
    def execute(cls, first_stage, start_image, end_image, width, height, fit) -> io.NodeOutput:
        check_size(width, height)
        pictures = _pictures(start_image, end_image, TASKS[0])
        latents, references = first_stage.encode(preparation.fit_each(pictures, width, height, fit))
        return io.NodeOutput({"samples": latents}, references)


class PerGapPrompts(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BetwixtPerGapPrompts",
            display_name="Per-Gap Prompts",
            category=CATEGORY,
            description="Prompt, frame rate and length of each gap between several key frames, beside 'Key Frame "
            "Pairs': everything behind it runs once per gap.",
            search_aliases=["multiple key frames", "prompt schedule", "storyboard", "timing chart"],
            inputs=[
                io.Image.Input("key_frames", tooltip="The key frames that go into 'Key Frame Pairs'; counted only."),
                io.Boolean.Input("loop", default=False, tooltip="The same as in 'Key Frame Pairs'."),
                io.String.Input(
                    "prompts",
                    default="",
                    multiline=True,
                    tooltip="One line per gap; a single line counts for all gaps.",
                ),
                io.String.Input(
                    "fs",
                    default="0",
                    tooltip="Frame rate the model is told in each gap, e.g. '10, 20, 10'; one number counts for all, 0 "
                    "= the model's published value.",
                ),
                io.String.Input(
                    "lengths",
                    default="0",
                    tooltip="Frames of each gap in the finished clip, both key frames included, e.g. '24, 12, 16', for "
                    "'Retime Clip'; one number counts for all, 0 = as many as the model makes.",
                ),
                gaps_input(),
            ],
            outputs=[
                io.String.Output(display_name="prompt", is_output_list=True, tooltip="Prompt, per gap."),
                io.Int.Output(display_name="fs", is_output_list=True, tooltip="Frame rate, per gap."),
                io.Int.Output(
                    display_name="length",
                    is_output_list=True,
                    tooltip="Frames, per gap, for 'frame_count' of 'Retime Clip'; the model goes on making 16.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, key_frames, loop, prompts, fs, lengths, gaps="") -> io.NodeOutput:
        frames = len(rgb_frames(key_frames, "key_frames"))
        if frames < 2:
            raise BetwixtError(
                "'key_frames' holds one key frame.",
                "Prompts belong to the gaps between key frames; at least two are needed.",
                "Connect the batch that goes into 'Key Frame Pairs'.",
            )
        count = frames - (0 if loop else 1)
        if count > 1 and "|" in prompts and "\n" not in prompts.strip("\n"):
            show_notice(
                cls.hidden.unique_id,
                "'prompts' is one line with '|' in it: it counts as one prompt for all gaps. Write the prompt of each "
                "gap on a line of its own.",
            )
        part = parse_part(gaps, "gaps", count, "gaps")
        values = (
            _per_gap(prompts.strip("\n").split("\n"), count, "prompts"),
            _per_gap(_whole_numbers(fs, "fs", range(FASTEST + 1)), count, "fs"),
            _per_gap(_whole_numbers(lengths, "lengths", (0, *range(2, LONGEST_RETIMED + 1))), count, "lengths"),
        )
        return io.NodeOutput(*(entries[part.start : part.stop] for entries in values))


def _whole_numbers(text: str, name: str, allowed: Sequence[int]) -> list[int]:
    """The numbers of a text field; an empty one is a 0, the value for "by itself"."""
    numbers = parse_whole_numbers(text, name) or [0]
    wrong = [number for number in numbers if number not in allowed]
    if wrong:
        first = next(number for number in allowed if number)
        raise BetwixtError(
            f"'{name}' has the value {wrong[0]}.",
            f"Whole numbers from {first} to {allowed[-1]}, or 0, are allowed.",
            f"Correct it in '{name}'.",
        )
    return numbers


def _per_gap(values: list, count: int, name: str) -> list:
    if len(values) not in (1, count):
        raise BetwixtError(
            f"'{name}' has {len(values)} entries, and there are {count} gaps.",
            "One entry per gap or one for all is needed.",
            f"Change '{name}'.",
        )
    return values * count if len(values) == 1 else values


NODES = [ToonCrafterConditioning, EncodeWithReferences, PerGapPrompts]

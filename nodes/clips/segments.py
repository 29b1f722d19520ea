"""Several key frames: one clip per neighbouring pair, and the clips joined."""

from comfy_api.latest import io

from ...common.clips.keyframe_pairs import closed_loop
from ...common.clips.keyframe_pairs import gaps as all_gaps
from ...common.number_lists import parse_numbers, parse_part
from ...common.pictures import rgb_frames
from ...fcvg_core.tweening.condition_chain import chain_conditions
from ..checked_node import CheckedNode
from ..fcvg.conditioning import LONGEST
from ..host.services.memory import require_memory
from ..search_words import KEY_FRAMES
from ..shared_inputs import frame_count_input, gaps_input, strength_input

CATEGORY = "Betwixt/FCVG"


class KeyframePairs(CheckedNode):
    number_lists = ("strength",)  # one per gap

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BetwixtKeyFramePairs",
            display_name="Key Frame Pairs",
            category=CATEGORY,
            description="Splits several key frames into neighbouring pairs. Everything connected behind it runs once "
            "per pair; 'Join Segments' puts the clips together.",
            search_aliases=["multiple key frames", "loop", "storyboard", "sequence", *KEY_FRAMES],
            inputs=[
                io.Image.Input("key_frames", tooltip="Two or more key frames in order, as a batch."),
                io.Boolean.Input("loop", default=False, tooltip="Also go from the last key frame back to the first."),
                frame_count_input("Frames of each gap's clip, both key frames included.", longest=LONGEST),
                strength_input("Strength of the conditions in each gap, for 'Apply ControlNeXt'."),
                io.String.Input(
                    "frames_per_gap",
                    default="",
                    tooltip="Frames of each gap when they differ, e.g. '25, 14, 20'. Empty: frame_count for all.",
                ),
                io.String.Input(
                    "strength_per_gap",
                    default="",
                    tooltip="Strength in each gap when they differ, e.g. '1, 0.5, 1'. Empty: strength for all.",
                ),
                gaps_input(),
            ],
            outputs=[
                io.Image.Output(display_name="start_image", is_output_list=True, tooltip="First key frame, per gap."),
                io.Image.Output(display_name="end_image", is_output_list=True, tooltip="Last key frame, per gap."),
                io.Int.Output(display_name="frame_count", is_output_list=True, tooltip="Number of frames, per gap."),
                io.Float.Output(display_name="strength", is_output_list=True, tooltip="Strength, per gap."),
            ],
        )

    @classmethod
    def execute(
        cls, key_frames, loop, frame_count, strength, frames_per_gap, strength_per_gap, gaps=""
    ) -> io.NodeOutput:
        frames = rgb_frames(key_frames, "key_frames")
        lengths = parse_numbers(frames_per_gap, "frames_per_gap") or [frame_count]
        strengths = parse_numbers(strength_per_gap, "strength_per_gap")
        strengths = strengths or (strength if isinstance(strength, list) else [strength])
        plan = all_gaps(len(frames), loop, lengths, strengths)
        found = [plan[number] for number in parse_part(gaps, "gaps", len(plan), "gaps")]
        return io.NodeOutput(
            [frames[gap.start : gap.start + 1] for gap in found],
            [frames[gap.end : gap.end + 1] for gap in found],
            [gap.frames for gap in found],
            [gap.strength for gap in found],
        )


class JoinSegments(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BetwixtJoinSegments",
            display_name="Join Segments",
            category=CATEGORY,
            description="Puts the clips of neighbouring key frame pairs together; a key frame that ends one clip and "
            "begins the next stands once.",
            search_aliases=["concatenate", "multiple key frames", "loop"],
            inputs=[
                io.Image.Input("segments", tooltip="The clips in order: a list, as it comes from 'Key Frame Pairs'."),
                io.Boolean.Input(
                    "loop",
                    default=False,
                    tooltip="The last clip leads back to the first key frame: leave that frame out at the end.",
                ),
                io.Boolean.Input(
                    "published_timing",
                    default=True,
                    tooltip="On when the conditions had timing 'published', where the motion stands still for a frame "
                    "at either end: those frames are left out at the joints. Off: only the doubled key frame is.",
                ),
            ],
            outputs=[io.Image.Output(display_name="images", tooltip="One clip.")],
            is_input_list=True,
        )

    @classmethod
    def execute(cls, segments, loop, published_timing) -> io.NodeOutput:
        clips = [rgb_frames(clip, "segments") for clip in segments]
        require_memory(sum(map(len, clips)), *clips[0].shape[1:3], 24, "frames", "Join fewer or smaller clips.")
        joined = chain_conditions(clips, published_timing[0])
        return io.NodeOutput(closed_loop(joined, published_timing[0]) if loop[0] else joined)


NODES = [KeyframePairs, JoinSegments]

"""Settings of EbSynth's patch synthesis, and the widgets its nodes share."""

from comfy_api.latest import io

from ...common.errors import BetwixtError
from ...rerender_core.ebsynth.blending.interval import MODES
from ...rerender_core.ebsynth.blending.screened_poisson import SOLVERS
from ...rerender_core.ebsynth.propagation import GuideWeights, PropagationOptions
from ...rerender_core.ebsynth.synthesis.solver import SynthesisOptions
from ...rerender_core.ebsynth.synthesis.voting import VOTINGS
from .. import sockets
from ..checked_node import CheckedNode
from ..shared_inputs import part_input, seed_input

CATEGORY = "Betwixt/EbSynth"

_GUIDES = (
    ("colour_weight", 6.0, "The clip's own colours: what looks alike is painted alike."),
    ("edge_weight", 0.5, "Its outlines."),
    ("temporal_weight", 0.5, "The frame made before: keeps strokes where they were."),
    ("position_weight", 2.0, "Where things came from, carried along by the motion."),
)


def propagation_inputs() -> list[io.Input]:
    """Widgets of the patch synthesis."""
    guides = [
        io.Float.Input(
            name, default=default, min=0.0, max=100.0, step=0.1, advanced=True, tooltip=f"{text} 0 leaves it out."
        )
        for name, default, text in _GUIDES
    ]
    return [
        io.Combo.Input(
            "schedule",
            options=["hybrid", "reference"],
            default="hybrid",
            tooltip="'hybrid' starts from the measured motion where that fits: quicker and steadier. 'reference' "
            "searches every size alike, as EbSynth does.",
        ),
        io.Int.Input(
            "search_votes",
            default=6,
            min=1,
            max=50,
            tooltip="Rounds of search and vote per picture size. Rerender uses 12: twice the time, a little better.",
        ),
        io.Int.Input(
            "match_iterations",
            default=4,
            min=1,
            max=20,
            tooltip="PatchMatch iterations in each round. Rerender uses 6.",
        ),
        io.Int.Input(
            "patch_size",
            default=5,
            min=3,
            max=15,
            step=2,
            tooltip="Side of the patches in pixels, odd. Small ones follow the clip, large ones keep brush strokes.",
        ),
        io.Float.Input(
            "uniformity",
            default=3500.0,
            min=0.0,
            max=100000.0,
            step=100.0,
            advanced=True,
            tooltip="How strongly all parts of the key frame are used alike. 0 lets flat areas spread.",
        ),
        *guides,
        io.Int.Input(
            "pyramid_levels",
            default=0,
            min=0,
            max=12,
            advanced=True,
            tooltip="Picture sizes that are searched, each half the one above: 0 = as many as fit, 1 = full size only, "
            "which keeps to the start of 'hybrid' and repeats small things in large areas.",
        ),
        io.Combo.Input(
            "voting",
            options=list(VOTINGS),
            default="plain",
            advanced=True,
            tooltip="How overlapping patches make a pixel: 'plain' averages them, 'weighted' lets the better fitting "
            "ones count more (crisper), 'clamped' is 'plain' as on CUDA, different at the picture's border.",
        ),
        io.Boolean.Input(
            "extra_pass",
            default=False,
            advanced=True,
            tooltip="Finish every frame with 3x3 patches: finer detail, less of the brush strokes' shape.",
        ),
        io.Int.Input(
            "stop_threshold",
            default=0,
            min=0,
            max=255,
            advanced=True,
            tooltip="Random search rests where the picture changed by less than so many of 255 grey levels in the last "
            "round. 0 = never; 3 is hardly visible; high values freeze the picture early.",
        ),
        io.Combo.Input(
            "occlusion",
            options=["ignore", "fill"],
            default="ignore",
            advanced=True,
            tooltip="Guides where something comes into view: left out there, or filled in from around (published).",
        ),
        io.Boolean.Input(
            "reuse_matches",
            default=False,
            tooltip="Start every frame from the matches of the one before: strokes slide less, mistakes live longer.",
        ),
        io.Combo.Input(
            "engine",
            options=["auto", "torch", "numba"],
            default="auto",
            advanced=True,
            tooltip="'torch' runs on the host's device, 'numba' on the processor if numba is installed. 'auto' takes "
            "the quickest one; on CUDA cards it uses Triton where that is installed.",
        ),
        seed_input("Of the random search. Another seed changes details only.", largest=0xFFFFFFFF),
    ]


class PatchSynthesisSettings(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BetwixtPatchSynthesisSettings",
            display_name="Patch Synthesis Settings",
            category=CATEGORY,
            description="How EbSynth searches and what guides it. Without this node the defaults are used.",
            search_aliases=["ebsynth", "patch match", "guides", "uniformity"],
            inputs=propagation_inputs(),
            outputs=[sockets.PatchSettings.Output(display_name="settings", tooltip="For the EbSynth nodes.")],
        )

    @classmethod
    def execute(
        cls,
        schedule,
        search_votes,
        match_iterations,
        patch_size,
        uniformity,
        colour_weight,
        edge_weight,
        temporal_weight,
        position_weight,
        pyramid_levels,
        voting,
        extra_pass,
        stop_threshold,
        occlusion,
        reuse_matches,
        engine,
        seed,
    ) -> io.NodeOutput:
        weights = GuideWeights(colour_weight, edge_weight, temporal_weight, position_weight)
        if not any((colour_weight, edge_weight, temporal_weight, position_weight)):
            raise BetwixtError(
                "All four guide weights are 0.", "At least one guide must count.", "Raise 'colour_weight', e.g. to 6."
            )
        synthesis = SynthesisOptions(
            patch=patch_size,
            uniformity=uniformity,
            levels=pyramid_levels or None,
            vote_iterations=search_votes,
            match_iterations=match_iterations,
            extra_pass=extra_pass,
            voting=voting,
            stop_threshold=stop_threshold,
            schedule=schedule,
            seed=seed,
        )
        return io.NodeOutput(PropagationOptions(weights, synthesis, engine, reuse_matches, occlusion))


def cuts_input() -> io.Combo.Input:
    return io.Combo.Input(
        "scene_cuts",
        options=["find", "none"],
        default="find",
        tooltip="Whether scene cuts are looked for; nothing is carried across one, and every scene needs a key frame.",
    )


def blend_mode_input() -> io.Combo.Input:
    return io.Combo.Input(
        "blend",
        options=list(MODES),
        default=MODES[0],
        tooltip="How the pictures from both key frames are joined: 'selection' takes each pixel from the better "
        "one, 'mix' mixes both without loss of contrast, 'poisson' also restores sharp edges (published).",
    )


def blend_detail_inputs() -> list[io.Input]:
    """What only 'EbSynth Blend' offers."""
    return [
        io.Combo.Input(
            "solver",
            options=list(SOLVERS),
            default=SOLVERS[0],
            advanced=True,
            tooltip="Of the Poisson step: 'cosine' is exact and quick, 'lsqr' the reference's iteration.",
        ),
        io.Boolean.Input(
            "published_weights",
            default=False,
            advanced=True,
            tooltip="Weight the two key frames as the reference does: the first frame after a key frame comes from "
            "the left one alone.",
        ),
        io.Boolean.Input(
            "mirrored_errors",
            default=False,
            advanced=True,
            tooltip="Reproduce the reference's fault of comparing errors of different frames.",
        ),
        io.Boolean.Input(
            "keep_precision",
            default=True,
            advanced=True,
            tooltip="Give 16-bit and float key frames back what the 8-bit synthesis loses.",
        ),
    ]


def mask_use_inputs() -> list[io.Input]:
    return [
        io.Combo.Input(
            "mask_use",
            options=["before", "after"],
            default="before",
            tooltip="'before' paints the masked part only (quicker), 'after' paints all and lays the clip over it.",
        ),
        io.Float.Input(
            "feather", default=4.0, min=0.0, max=100.0, step=0.5, tooltip="Softness of the mask's edge in pixels."
        ),
    ]


def optional_inputs() -> list[io.Input]:
    return [
        sockets.FlowModel.Input(
            "flow_model",
            optional=True,
            tooltip="Measures the motion: from 'Load Flow Model'; DIS needs no file. Not needed with 'flow'.",
        ),
        sockets.Flow.Input(
            "flow",
            optional=True,
            tooltip="The clip's motion, measured before: from 'Estimate Flow' between neighbours. Goes before "
            "'flow_model'.",
        ),
        io.Mask.Input(
            "mask",
            optional=True,
            tooltip="What is stylised, one mask or one per frame; empty ones are allowed. The rest stays as it is.",
        ),
        sockets.PatchSettings.Input(
            "settings", optional=True, tooltip="From 'Patch Synthesis Settings'; without it, the defaults."
        ),
    ]


def intervals_input() -> io.String.Input:
    """The widget ``intervals``."""
    return part_input(
        "intervals",
        "Intervals lie between key frames. Only their frames come out, with the key frame before them; all intervals "
        "in order are the clip.",
    )

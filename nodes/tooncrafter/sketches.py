"""Sketch guidance of ToonCrafter."""

from comfy_api.latest import io

from ...common.errors import BetwixtError
from ...common.pictures import rgb_frames
from ...tooncrafter_core.keyframes import fit
from ...tooncrafter_core.sketches import edge_sketch, hints, parse_frames
from ..checked_node import CheckedNode
from ..host.conditioning_keys import FIT, KEY_LATENTS, PICTURE_SIZE
from ..host.tooncrafter.sketch_guidance import require_sketch_encoder, with_sketches
from ..shared_inputs import fraction_input

CATEGORY = "Betwixt/ToonCrafter"
DARK, WHITE = "dark on light", "white on black"
TEXT, TEXT_AND_IMAGE = "text (77 tokens)", "text and image (333 tokens)"


class ApplySketches(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BetwixtApplySketches",
            display_name="Apply Sketches",
            category=CATEGORY,
            description="Guides frames of a ToonCrafter clip by line drawings, all frames or single ones.",
            search_aliases=["tooncrafter sketch", "controlnet", "line art", "colourise sketches", "colorize"],
            inputs=[
                io.Conditioning.Input("positive", tooltip="From 'ToonCrafter Conditioning'."),
                io.Conditioning.Input("negative", tooltip="From 'ToonCrafter Conditioning'."),
                io.ControlNet.Input("control_net", tooltip="From 'Load Sketch Encoder'."),
                io.Image.Input(
                    "sketches", tooltip="Line drawings in the shape of the key frames; they are fitted like those."
                ),
                io.String.Input(
                    "frames",
                    default="all",
                    tooltip="Which frame each sketch belongs to, counted from 0: '0, 7, 15'; negative numbers count "
                    "from the end. 'all': one sketch per frame of the clip.",
                ),
                io.Combo.Input(
                    "lines",
                    options=[DARK, WHITE],
                    default=DARK,
                    tooltip="How the sketches are drawn. The model wants white on black; dark lines are inverted.",
                ),
                io.Float.Input(
                    "strength",
                    default=0.6,
                    min=0.0,
                    max=10.0,
                    step=0.01,
                    tooltip="0.6 as in the known reproduction; 0 = off, above 1 lines are followed rigidly.",
                ),
                fraction_input("start_percent", 0.0, "Begin of the guidance, 0 = at once.", 0.001),
                fraction_input("end_percent", 1.0, "End of the guidance; 0.6 lets the last steps refine.", 0.001),
                io.Combo.Input(
                    "context",
                    options=[TEXT, TEXT_AND_IMAGE],
                    default=TEXT,
                    advanced=True,
                    tooltip="What the sketch encoder attends to. There is no published code; it was trained on text.",
                ),
            ],
            outputs=[
                io.Conditioning.Output(display_name="positive", tooltip="With the sketches."),
                io.Conditioning.Output(display_name="negative", tooltip="With the sketches."),
            ],
        )

    @classmethod
    def execute(
        cls,
        positive,
        negative,
        control_net,
        sketches,
        frames,
        lines,
        strength,
        start_percent,
        end_percent,
        context,
    ) -> io.NodeOutput:
        pictures = rgb_frames(sketches, "sketches")
        clip = _clip_of(positive)
        require_sketch_encoder(control_net)
        count, _, height, width = clip[KEY_LATENTS].shape
        places = parse_frames(frames, len(pictures), count)
        _check_shape(pictures, clip[PICTURE_SIZE], (8 * height, 8 * width))
        if strength == 0:
            return io.NodeOutput(positive, negative)
        ground = 1 - pictures if lines == DARK else pictures
        fitted = fit(ground, 8 * width, 8 * height, clip[FIT], fill=0.0)  # no lines beside the sketch
        hint = hints(fitted, places, count)
        percents = (start_percent, end_percent)
        both = [
            with_sketches(conditioning, control_net, hint, strength, percents, context == TEXT_AND_IMAGE)
            for conditioning in (positive, negative)
        ]
        return io.NodeOutput(*both)


def _clip_of(conditioning: list) -> dict:
    entry = conditioning[0][1] if conditioning else {}
    if KEY_LATENTS not in entry:
        raise BetwixtError(
            "The conditioning on 'positive' holds no key frames.",
            "Sketches guide a clip of ToonCrafter.",
            "Connect 'ToonCrafter Conditioning' first.",
        )
    return entry


def _check_shape(pictures, key_frames: tuple, clip: tuple) -> None:
    height, width = pictures.shape[1:3]
    shapes = {key_frames, clip}
    if not any(abs(width * h - height * w) <= max(width, height) for h, w in shapes):
        listed = " or ".join(f"{w}x{h}" for h, w in shapes)
        raise BetwixtError(
            f"The sketches are {width}x{height}.",
            f"They must have the shape of the key frames or of the clip ({listed}, any resolution).",
            "Resize or crop them as the key frames were.",
        )


class EdgeSketch(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BetwixtEdgeSketch",
            display_name="Edge Sketch",
            category=CATEGORY,
            description="Draws the lines of pictures without any weights (extended difference of Gaussians), as a "
            "stand-in for a line-art extractor such as Anime2Sketch.",
            search_aliases=["line art", "xdog", "edges", "lineart", "sketch"],
            inputs=[
                io.Image.Input("images", tooltip="Drawings, one sketch is made of each."),
                io.Float.Input(
                    "sigma",
                    default=0.8,
                    min=0.2,
                    max=8.0,
                    step=0.1,
                    tooltip="Half the width of the lines in pixels. Larger: fewer, thicker lines.",
                ),
                io.Float.Input(
                    "sharpness",
                    default=20.0,
                    min=1.0,
                    max=100.0,
                    step=1.0,
                    tooltip="Larger draws fainter edges as well; 20 suits drawings, 5 noisy photographs.",
                ),
                fraction_input("threshold", 0.6, "Larger draws more and darker lines; 1 draws every shade."),
            ],
            outputs=[io.Image.Output(display_name="sketches", tooltip="Dark lines on white.")],
        )

    @classmethod
    def execute(cls, images, sigma, sharpness, threshold) -> io.NodeOutput:
        return io.NodeOutput(edge_sketch(rgb_frames(images, "images"), sigma, sharpness, threshold))


NODES = [ApplySketches, EdgeSketch]

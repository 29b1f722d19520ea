"""Fidelity-oriented encoding, alone and measured over repeated round trips."""

from comfy_api.latest import io

from ...common.pictures import rgb_frames, single_frame
from ...rerender_core.keyframes.constraints import PixelAware
from ...rerender_core.keyframes.fidelity_encoding import fidelity_encode
from ...rerender_core.keyframes.round_trips import compare, plot
from ..checked_node import CheckedNode
from ..host.rerender.unclamped_vae import UnclampedVAE
from ..host.services.memory import require_memory
from ..host.services.progress import NodeProgress
from ..picture_size import whole_cells

CATEGORY = "Betwixt/Rerender"


def encoding_inputs() -> list:
    """Widgets of the encoding itself."""
    return [
        io.Float.Input(
            "compensation",
            default=PixelAware.compensation,
            min=0.0,
            max=2.0,
            step=0.05,
            tooltip="How much of the loss of one round trip is added in advance: 0 = plain encoding, 1 = published.",
        ),
        io.Float.Input(
            "error_threshold",
            default=PixelAware.error_threshold,
            min=0.0,
            max=2.0,
            step=0.01,
            tooltip="Where the compensated picture is off by more than this (pixel values -1..1), nothing is added. "
            "0 leaves it out nearly everywhere, 2 nowhere.",
        ),
    ]


class FidelityEncode(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BetwixtFidelityEncode",
            display_name="Fidelity-Oriented Encode",
            category=CATEGORY,
            description="VAE Encode that makes up in advance for what one round trip loses, so that pictures "
            "survive many round trips. Takes three encodings or decodings instead of one.",
            search_aliases=["vae encode", "lossless encode", "zero-loss", "round trip"],
            inputs=[
                io.Image.Input("pixels", tooltip="Pictures; width and height in multiples of 8."),
                io.Vae.Input("vae", tooltip="A VAE of Stable Diffusion 1.x, 2.x or XL; evaluated in float32."),
                *encoding_inputs(),
            ],
            outputs=[
                io.Latent.Output(display_name="latent", tooltip="The compensated encoding."),
                io.Mask.Output(
                    display_name="left_out", tooltip="Where compensation was left out: 1, one value per latent cell."
                ),
            ],
        )

    @classmethod
    def execute(cls, pixels, vae, compensation, error_threshold) -> io.NodeOutput:
        pictures = rgb_frames(pixels, "pixels")
        whole_cells(pictures, "pixels")
        unclamped = UnclampedVAE(vae)
        result = fidelity_encode(
            pictures.movedim(-1, 1) * 2 - 1, unclamped.encode, unclamped.decode, compensation, error_threshold
        )
        return io.NodeOutput({"samples": result.latent}, result.artifacts[:, 0])


class CompareRoundTrips(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BetwixtCompareRoundTrips",
            display_name="Compare Round Trips",
            category=CATEGORY,
            description="Encodes and decodes a picture again and again, plainly and fidelity-oriented, and plots how "
            "far it drifts from the original.",
            search_aliases=["vae quality", "encode decode", "drift"],
            inputs=[
                io.Image.Input("image", tooltip="One picture; width and height in multiples of 8."),
                io.Vae.Input("vae", tooltip="The VAE to measure."),
                io.Int.Input("trips", default=10, min=1, max=100, tooltip="How often it is encoded and decoded."),
                *encoding_inputs(),
            ],
            outputs=[
                io.Image.Output(display_name="plot", tooltip="RMS error over the number of trips, both ways."),
                io.Image.Output(display_name="plain", tooltip="The picture after each plain trip."),
                io.Image.Output(display_name="fidelity", tooltip="The picture after each fidelity-oriented trip."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, image, vae, trips, compensation, error_threshold) -> io.NodeOutput:
        picture = single_frame(image, "image")
        whole_cells(picture, "image")
        require_memory(2 * trips, *picture.shape[:2], 36, "round trips", "Lower 'trips' or take a smaller picture.")
        unclamped = UnclampedVAE(vae)
        plain, faithful = compare(
            picture.movedim(-1, 0)[None] * 2 - 1,
            unclamped.encode,
            unclamped.decode,
            trips,
            compensation,
            error_threshold,
            NodeProgress(cls.hidden.unique_id),
        )
        curves = plot({"plain": plain.errors, "fidelity-oriented": faithful.errors})
        shown = [(trip.pictures.movedim(1, -1) + 1) / 2 for trip in (plain, faithful)]
        return io.NodeOutput(curves, *shown)


NODES = [FidelityEncode, CompareRoundTrips]

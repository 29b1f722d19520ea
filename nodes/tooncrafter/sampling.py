"""Sampling settings for ToonCrafter and DynamiCrafter; the run itself is the host's."""

from comfy_api.latest import io

from ...common.errors import BetwixtError
from ..checked_node import CheckedNode
from ..host.services.notices import show_notice
from ..host.tooncrafter.model import require_tooncrafter
from ..host.tooncrafter.sampling import (
    SPACINGS,
    RescaledSampling,
    ThreeWayGuider,
    reference_ddim,
    rescaled_guidance,
    rescales_frame_by_frame,
    sampling_sigmas,
)
from ..shared_inputs import fraction_input

CATEGORY = "Betwixt/ToonCrafter"
AS_TRAINED = "as the model was trained"


class RescaleGuidance(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BetwixtRescaleGuidance",
            display_name="Rescale Guidance (Whole Clip)",
            category=CATEGORY,
            description="Keeps guidance from over-exposing: the guided prediction gets the deviation of the "
            "conditional one, over the whole clip as published. The stock RescaleCFG works frame by frame.",
            search_aliases=["rescalecfg", "guidance rescale", "cfg rescale"],
            inputs=[
                io.Model.Input("model", tooltip="From 'Load ToonCrafter'."),
                fraction_input(
                    "amount",
                    0.7,
                    "0.7 as published; 0 = off (strong contrast at high cfg), 1 = fully (flat). DynamiCrafter "
                    "256 was published without.",
                ),
            ],
            outputs=[io.Model.Output(display_name="model", tooltip="The model with rescaled guidance.")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, model, amount) -> io.NodeOutput:
        require_tooncrafter(model, "model")
        if not amount:
            return io.NodeOutput(model)
        if rescales_frame_by_frame(model.model_options.get("sampler_cfg_function")):
            show_notice(
                cls.hidden.unique_id,
                "The stock 'RescaleCFG' is applied as well and works frame by frame: remove it.",
            )
        model = model.clone()
        model.set_model_sampler_post_cfg_function(rescaled_guidance(amount))
        return io.NodeOutput(model)


class TrailingSigmas(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BetwixtTrailingSigmas",
            display_name="Trailing Sigmas",
            category=CATEGORY,
            description="The published noise levels of ToonCrafter and DynamiCrafter, for any number of steps: they "
            "begin at pure noise, which the model's zero-terminal-SNR schedule needs.",
            search_aliases=["uniform_trailing", "scheduler", "sigmas", "ddim"],
            inputs=[
                io.Model.Input("model", tooltip="From 'Load ToonCrafter'."),
                io.Int.Input(
                    "steps", default=50, min=1, max=1000, tooltip="50 as published; 20 to 30 are usually enough."
                ),
                io.Float.Input(
                    "denoise",
                    default=1.0,
                    min=0.01,
                    max=1.0,
                    step=0.01,
                    tooltip="Less than 1 begins later, from a given latent: 0.5 keeps its composition.",
                ),
                io.Combo.Input(
                    "spacing",
                    options=[AS_TRAINED, *SPACINGS],
                    default=AS_TRAINED,
                    advanced=True,
                    tooltip="trailing for all models but DynamiCrafter 256, which was published with uniform.",
                ),
            ],
            outputs=[io.Sigmas.Output(display_name="sigmas", tooltip="For 'SamplerCustomAdvanced'.")],
        )

    @classmethod
    def execute(cls, model, steps, denoise, spacing) -> io.NodeOutput:
        require_tooncrafter(model, "model")
        sampling = model.get_model_object("model_sampling")
        if not isinstance(sampling, RescaledSampling):
            raise BetwixtError(
                f"The model samples with {type(sampling).__name__}.",
                "These noise levels belong to ToonCrafter's and DynamiCrafter's own sampling.",
                "Remove the node that replaced it ('ModelSampling...').",
            )
        if spacing == AS_TRAINED:
            spacing = model.model.variant.steps_spacing
        return io.NodeOutput(sampling_sigmas(sampling, spacing, steps, denoise))


class ReferenceDDIM(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BetwixtReferenceDDIM",
            display_name="Reference DDIM",
            category=CATEGORY,
            description="The published sampler of ToonCrafter and DynamiCrafter, without its failure at some step "
            "counts. Stock samplers work as well; this one adds exactly the published noise.",
            search_aliases=["ddim", "tooncrafter sampler", "eta"],
            inputs=[
                fraction_input("eta", 1.0, "Share of fresh noise in every step: 1 as published, 0 = deterministic."),
                io.Boolean.Input(
                    "published_ends",
                    default=False,
                    tooltip="On: begin with noise of unit variance whatever the first step is and stop short of the "
                    "clean latent, as published, which leaves slightly low contrast. For an empty latent only.",
                ),
            ],
            outputs=[io.Sampler.Output(display_name="sampler", tooltip="For 'SamplerCustomAdvanced'.")],
        )

    @classmethod
    def execute(cls, eta, published_ends) -> io.NodeOutput:
        return io.NodeOutput(reference_ddim(eta, published_ends))


class ThreeWayGuiderNode(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BetwixtThreeWayGuider",
            display_name="Three-Way Guider",
            category=CATEGORY,
            description="Separate guidance to the pictures and to the text, with the whole-clip rescale of the "
            "published command line. One more evaluation per step.",
            search_aliases=["multi-condition cfg", "dual cfg", "dynamicrafter guidance"],
            inputs=[
                io.Model.Input("model", tooltip="From 'Load ToonCrafter', without 'Rescale Guidance'."),
                io.Conditioning.Input("positive", tooltip="From 'ToonCrafter Conditioning'."),
                io.Conditioning.Input("pictures_only", tooltip="From 'ToonCrafter Conditioning'."),
                io.Conditioning.Input("negative", tooltip="From 'ToonCrafter Conditioning'."),
                io.Float.Input(
                    "cfg_pictures",
                    default=7.5,
                    min=0.0,
                    max=30.0,
                    step=0.1,
                    tooltip="Guidance to the pictures. Higher: closer to them; 1 = none.",
                ),
                io.Float.Input(
                    "cfg_text",
                    default=7.5,
                    min=0.0,
                    max=30.0,
                    step=0.1,
                    tooltip="Guidance to the text. Equal to cfg_pictures: the same as ordinary guidance.",
                ),
                fraction_input("rescale", 0.7, "Guidance rescale: 0.7 as published."),
            ],
            outputs=[io.Guider.Output(display_name="guider", tooltip="For 'SamplerCustomAdvanced'.")],
        )

    @classmethod
    def execute(cls, model, positive, pictures_only, negative, cfg_pictures, cfg_text, rescale) -> io.NodeOutput:
        require_tooncrafter(model, "model")
        guider = ThreeWayGuider(model)
        guider.set_conditionings(positive, pictures_only, negative)
        guider.set_strengths(cfg_pictures, cfg_text, rescale)
        return io.NodeOutput(guider)


NODES = [RescaleGuidance, TrailingSigmas, ReferenceDDIM, ThreeWayGuiderNode]

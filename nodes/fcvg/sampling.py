"""Sampling a clip from both ends: guider, model patch, fusion samplers, and all of it in one node."""

import comfy.model_management
import comfy.sample
import torch
from comfy_api.latest import io

from ...common.errors import BetwixtError
from ...fcvg_core.sampling.fusion import Fusion
from ...fcvg_core.sampling.fusion_methods import FCVG, METHODS, FusionMethod
from ...fcvg_core.sampling.noise_levels import karras_sigmas
from .. import sockets
from ..checked_node import CheckedNode
from ..host.services.clip_preview import clip_callback
from ..host.svd.bidirectional_guider import BidirectionalGuider, BidirectionalModel, BidirectionalSettings
from ..host.svd.fusion_sampler import FusionSampler
from ..host.svd.model import require_svd
from ..search_words import INBETWEENS
from ..shared_inputs import seed_input, strength_input
from .fusion_inputs import mode_input, published_guidances, published_steps, sampler_options, weight_of, weights_input
from .models import controlled

CATEGORY = "Betwixt/FCVG"
HIGHEST_SIGMA = 1000.0  # above SVD's 700


def _conditioning_inputs(names=("positive", "negative", "positive_backward", "negative_backward")) -> list[io.Input]:
    tooltips = {
        "positive": "First key frame, from 'Inbetween Conditioning' or the stock SVD conditioning.",
        "negative": "Its unconditional counterpart.",
        "positive_backward": "Last key frame.",
        "negative_backward": "Its unconditional counterpart.",
    }
    return [io.Conditioning.Input(name, tooltip=tooltips[name]) for name in names]


def _guidance_input(name: str, default: float, tooltip: str) -> io.Float.Input:
    return io.Float.Input(name, default=default, min=0.0, max=30.0, step=0.1, tooltip=tooltip)


def _lowest(default: float = FCVG.guidance[0]) -> io.Float.Input:
    return _guidance_input("min_guidance", default, "Guidance of the frame nearest to each direction's own key frame.")


def _highest(default: float = FCVG.guidance[1]) -> io.Float.Input:
    return _guidance_input(
        "max_guidance",
        default,
        f"Guidance of the frame farthest from it; linear between. {published_guidances()}",
    )


def _guidance_of(method: FusionMethod) -> list[io.Input]:
    return [] if method.guidance is None else [_lowest(method.guidance[0]), _highest(method.guidance[1])]


def _interval_inputs() -> list[io.Input]:
    def sigma(name: str, default: float, tooltip: str) -> io.Float.Input:
        return io.Float.Input(
            name, default=default, min=0.0, max=HIGHEST_SIGMA, step=0.01, advanced=True, tooltip=tooltip
        )

    return [
        sigma(
            "guided_below",
            HIGHEST_SIGMA,
            "Guide only at noise levels up to this sigma (SVD: 700 to 0.002). Unguided steps cost half.",
        ),
        sigma("guided_above", 0.0, "Guide only at noise levels from this sigma on. Unguided steps cost half."),
    ]


def _context_input() -> io.Boolean.Input:
    return io.Boolean.Input(
        "published_context",
        default=False,
        advanced=True,
        tooltip="Reproduce the fault under which FCVG, GI and TRF were published: in temporal attention every second "
        "pixel sees the other half's key frame.",
    )


def _settings(min_guidance, max_guidance, weight, guided_below, guided_above, published_context):
    interval = (guided_above, guided_below)
    if guided_above > guided_below:
        raise BetwixtError(
            f"'guided_above' is {guided_above:g} and 'guided_below' {guided_below:g}.",
            "Guidance acts on noise levels between the two.",
            "Raise 'guided_below'; to switch guidance off, set both guidances to 1.",
        )
    return BidirectionalSettings(Fusion((min_guidance, max_guidance), weight, interval), published_context)


class BidirectionalGuiderNode(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BetwixtBidirectionalGuider",
            display_name="Bidirectional Guider",
            category=CATEGORY,
            description="Denoises one clip from both ends: forward from the first key frame, backward from the last, "
            "fused frame by frame. For 'SamplerCustomAdvanced' with any sampler; euler and karras are published.",
            search_aliases=["fcvg", "trf", "inbetween", "two key frames", "time reversal fusion", *INBETWEENS],
            inputs=[
                io.Model.Input(
                    "model", tooltip="Stable Video Diffusion: FCVG, with or without ControlNeXt, or SVD-XT."
                ),
                *_conditioning_inputs(),
                _lowest(),
                _highest(),
                weights_input(),
                *_interval_inputs(),
                _context_input(),
            ],
            outputs=[io.Guider.Output(display_name="guider", tooltip="For 'SamplerCustomAdvanced'.")],
        )

    @classmethod
    def execute(
        cls,
        model,
        positive,
        negative,
        positive_backward,
        negative_backward,
        min_guidance,
        max_guidance,
        fusion,
        guided_below,
        guided_above,
        published_context,
    ) -> io.NodeOutput:
        require_svd(model, "model")
        weight = weight_of(fusion)
        settings = _settings(min_guidance, max_guidance, weight, guided_below, guided_above, published_context)
        guider = BidirectionalGuider(model, settings)
        guider.set_conds(positive, negative, positive_backward, negative_backward)
        return io.NodeOutput(guider)


class BidirectionalModelNode(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BetwixtBidirectionalModel",
            display_name="Bidirectional Model",
            category=CATEGORY,
            description="The Bidirectional Guider for stock sampler nodes such as 'KSampler': they bring the first key "
            "frame's conditioning and the guidance (cfg), this node adds the last key frame.",
            search_aliases=["fcvg", "ksampler", "inbetween", "two key frames", *INBETWEENS],
            inputs=[
                io.Model.Input(
                    "model", tooltip="Stable Video Diffusion: FCVG, with or without ControlNeXt, or SVD-XT."
                ),
                *_conditioning_inputs(("positive_backward", "negative_backward")),
                weights_input(),
                _guidance_input(
                    "min_guidance",
                    30.0,
                    "Guidance of the frame nearest to each direction's own key frame, where it is less than the "
                    "sampler's cfg; linear up to that. The default: cfg for all frames, as FCVG.",
                ),
                *_interval_inputs(),
                _context_input(),
            ],
            outputs=[io.Model.Output(display_name="model", tooltip="For 'KSampler' and other samplers.")],
        )

    @classmethod
    def execute(
        cls,
        model,
        positive_backward,
        negative_backward,
        fusion,
        min_guidance,
        guided_below,
        guided_above,
        published_context,
    ) -> io.NodeOutput:
        require_svd(model, "model")
        weight = weight_of(fusion)
        settings = _settings(min_guidance, min_guidance, weight, guided_below, guided_above, published_context)
        return io.NodeOutput(BidirectionalModel(settings, positive_backward, negative_backward).attach(model))


class FusionSamplerNode(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BetwixtFusionSampler",
            display_name="Fusion Sampler",
            category=CATEGORY,
            description="The samplers of the published inbetweening methods for Stable Video Diffusion, for use with "
            "the Bidirectional Guider: FCVG, Time Reversal Fusion, Generative Inbetweening, ViBiDSampler.",
            search_aliases=["fcvg", "trf", "gi", "vibid", "generative inbetweening", "time reversal fusion"],
            inputs=[mode_input()],
            outputs=[io.Sampler.Output(display_name="sampler", tooltip="For 'SamplerCustomAdvanced'.")],
        )

    @classmethod
    def execute(cls, mode) -> io.NodeOutput:
        return io.NodeOutput(FusionSampler(mode["mode"], **sampler_options(mode)))


class Inbetween(CheckedNode):
    number_lists = ("strength",)  # one per condition picture

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BetwixtInbetween",
            display_name="Inbetween",
            category=CATEGORY,
            description="Model, key frames and conditions to a clip in one node, with the published settings of each "
            "method. For other samplers, schedules or fusion weights use the Bidirectional Guider.",
            search_aliases=["fcvg", "trf", "gi", "vibid", "interpolate", "tween", *INBETWEENS],
            inputs=[
                io.Model.Input("model", tooltip="Stable Video Diffusion: FCVG's model, or SVD-XT for TRF, GI, ViBiD."),
                sockets.InbetweenConditioning.Input("conditionings", tooltip="From 'Inbetween Conditioning'."),
                mode_input(_guidance_of),
                io.Int.Input("steps", default=FCVG.steps, min=1, max=200, tooltip=published_steps()),
                seed_input("Of the initial noise and of what the modes add.", after_generate=True),
                strength_input("Strength of the conditions."),
                io.Image.Input(
                    "conditions",
                    optional=True,
                    tooltip="One picture per frame, from 'Interpolate Conditions'; needs controlnext. Without them the "
                    "modes run as published without lines.",
                ),
                sockets.ControlNeXt.Input("controlnext", optional=True, tooltip="From 'Load ControlNeXt'."),
            ],
            outputs=[io.Latent.Output(display_name="latent", tooltip="The clip, for 'Decode Video Latents'.")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls, model, conditionings, mode, steps, seed, strength, conditions=None, controlnext=None
    ) -> io.NodeOutput:
        require_svd(model, "model")
        if conditions is not None:
            if controlnext is None:
                raise BetwixtError(
                    "'conditions' is connected and 'controlnext' is not.",
                    "The condition pictures are read by the ControlNeXt encoder.",
                    "Connect 'Load ControlNeXt', or disconnect the conditions.",
                )
            model = controlled(model, controlnext, conditions, strength)
        guidance = (mode.get("min_guidance", 1.0), mode.get("max_guidance", 1.0))
        fusion = Fusion(guidance, METHODS[mode["mode"]].weight)
        guider = BidirectionalGuider(model, BidirectionalSettings(fusion))
        guider.set_conds(*conditionings.conditionings)
        sampler = FusionSampler(mode["mode"], **sampler_options(mode))
        empty = conditionings.latent
        samples = guider.sample(
            comfy.sample.prepare_noise(empty, seed),
            torch.zeros_like(empty),
            sampler,
            karras_sigmas(steps),
            callback=clip_callback(guider.model_patcher, steps, cls.hidden.unique_id),
            disable_pbar=True,
            seed=seed,
        )
        return io.NodeOutput({"samples": samples.to(comfy.model_management.intermediate_device())})


NODES = [BidirectionalGuiderNode, BidirectionalModelNode, FusionSamplerNode, Inbetween]

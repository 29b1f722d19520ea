"""FCVG's models: load the UNet and the condition encoder, apply conditions, apply GI's backward motion."""

import folder_paths
import torch
from comfy_api.latest import io

from ...common.errors import BetwixtError
from ...common.files.published_files import FCVG_CONTROLNEXT, FCVG_UNET, GI_UNET, SVD_14
from ...common.pictures import rgb_frames
from ...fcvg_core.sampling.backward_motion import delta_weights
from .. import sockets
from ..checked_node import CheckedNode
from ..file_inputs import missing_file, published_file_input
from ..host.services.masks import usable_mask
from ..host.services.model_files import model_path, read_weights
from ..host.svd.controlnext_model import controlnext_from
from ..host.svd.controlnext_patch import ConditionVideo, ControlNeXtPatch
from ..host.svd.model import load_model, require_svd
from ..host.svd.temporal_attention import BackwardMotion
from ..shared_inputs import fraction_input, strength_input, weight_dtype_input

CATEGORY = "Betwixt/FCVG"
DIFFERENCE_ALONE = "none (the file is the difference)"
BASE_FOLDERS = (SVD_14.folder, GI_UNET.folder)
STRETCH = "stretch to the clip"


class LoadFCVGModel(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BetwixtLoadFCVGModel",
            display_name="Load FCVG Model",
            category=CATEGORY,
            description="Loads FCVG's fine-tuned Stable Video Diffusion UNet as a native MODEL. Also reads SVD and "
            "SVD-XT UNets in diffusers layout and the UNet of ControlNeXt-SVD v2.",
            search_aliases=["fcvg", "svd", "stable video diffusion", "diffusers unet", "inbetween"],
            inputs=[
                published_file_input(
                    "file", FCVG_UNET, "unet.safetensors of FCVG (6.1 GB), in models/diffusion_models."
                ),
                weight_dtype_input(
                    "Precision the weights are kept in. default: the host decides (fp16 on most cards); fp8 "
                    "halves the memory of the weights again at some loss of quality; fp32 is the published one."
                ),
                io.Model.Input(
                    "base",
                    optional=True,
                    tooltip="For a file with some of the weights only: the SVD MODEL in which they are replaced. Not "
                    "used when the file is complete.",
                ),
            ],
            outputs=[
                io.Model.Output(display_name="model", tooltip="Stable Video Diffusion, for stock samplers and LoRA."),
                io.String.Output(
                    display_name="report", tooltip="What the file holds, what is missing, what was left out."
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, file) -> bool | str:
        return missing_file(FCVG_UNET, file)

    @classmethod
    def execute(cls, file, weight_dtype, base=None) -> io.NodeOutput:
        path = model_path(FCVG_UNET.folder, file, FCVG_UNET.described)
        return io.NodeOutput(*load_model(path, weight_dtype, base))


class LoadControlNeXt(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BetwixtLoadControlNeXt",
            display_name="Load ControlNeXt",
            category=CATEGORY,
            description="Loads the light encoder that turns condition pictures into control for Stable Video "
            "Diffusion: FCVG's, or that of ControlNeXt-SVD v2.",
            search_aliases=["controlnet", "fcvg", "condition encoder"],
            inputs=[
                published_file_input(
                    "file", FCVG_CONTROLNEXT, "controlnext.safetensors of FCVG (14 MB), in models/controlnet."
                )
            ],
            outputs=[sockets.ControlNeXt.Output(display_name="controlnext", tooltip="For 'Apply ControlNeXt'.")],
        )

    @classmethod
    def validate_inputs(cls, file) -> bool | str:
        return missing_file(FCVG_CONTROLNEXT, file)

    @classmethod
    def execute(cls, file) -> io.NodeOutput:
        path = model_path(FCVG_CONTROLNEXT.folder, file, FCVG_CONTROLNEXT.described)
        return io.NodeOutput(controlnext_from(read_weights(path)))


class ApplyControlNeXt(CheckedNode):
    number_lists = ("strength",)  # one per picture

    @classmethod
    def define_schema(cls) -> io.Schema:
        def percent(name: str, default: float, tooltip: str) -> io.Float.Input:
            return fraction_input(name, default, tooltip, step=0.001, advanced=True)

        return io.Schema(
            node_id="BetwixtApplyControlNeXt",
            display_name="Apply ControlNeXt",
            category=CATEGORY,
            description="Steers a Stable Video Diffusion model with one condition picture per frame. Works under the "
            "Bidirectional Guider, which turns the pictures around for the backward direction, and under any sampler.",
            search_aliases=["fcvg", "controlnet", "frame-wise condition", "pose", "lines"],
            inputs=[
                io.Model.Input("model", tooltip="FCVG's model, or another Stable Video Diffusion."),
                sockets.ControlNeXt.Input("controlnext", tooltip="From 'Load ControlNeXt'."),
                io.Image.Input(
                    "conditions",
                    tooltip="One picture per frame, from 'Interpolate Conditions'. Pictures of another size than the "
                    "clip are resized.",
                ),
                strength_input("1 = as trained. 0 switches the conditions off at no cost; above 2 colours burn."),
                percent("start_percent", 0.0, "Share of the noise schedule after which the conditions begin to act."),
                percent("end_percent", 1.0, "Share of the noise schedule after which they no longer act."),
                io.Combo.Input(
                    "timing",
                    options=["frame by frame", STRETCH],
                    default="frame by frame",
                    tooltip="When the clip has another number of frames than there are pictures: refuse, or take the "
                    "pictures nearest in time.",
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Where the conditions act, one mask for all frames or one per frame. White = fully.",
                ),
            ],
            outputs=[io.Model.Output(display_name="model", tooltip="The model, steered. Can be applied again.")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls, model, controlnext, conditions, strength, start_percent, end_percent, timing, mask=None
    ) -> io.NodeOutput:
        pictures = rgb_frames(conditions, "conditions")
        mask = usable_mask(mask, "mask", pictures.shape[1:3], len(pictures), cls.hidden.unique_id, resized=True)
        stretch = timing == STRETCH
        return io.NodeOutput(
            controlled(model, controlnext, conditions, strength, (start_percent, end_percent), stretch, mask)
        )


def controlled(model, controlnext, conditions, strength, percents=(0.0, 1.0), stretch=False, mask=None):
    """The MODEL steered by condition pictures; the model itself at strength 0.

    Raises:
        BetwixtError: see the sentences.
    """
    require_svd(model, "model")
    pictures = rgb_frames(conditions, "conditions")
    _check_pictures(pictures, strength)
    _check_widths(model, controlnext)
    start, end = percents
    if start >= end:
        raise BetwixtError(
            f"'start_percent' is {start:g} and 'end_percent' {end:g}.",
            "The conditions must begin to act before they stop.",
            "Lower 'start_percent', or set 'strength' to 0 to switch them off.",
        )
    if not any(strength) if isinstance(strength, list) else strength == 0:
        return model
    sampling = model.get_model_object("model_sampling")
    sigmas = (sampling.percent_to_sigma(end), sampling.percent_to_sigma(start))
    strength = torch.tensor(strength) if isinstance(strength, list) else strength
    video = ConditionVideo(pictures, strength, sigmas, mask, stretch)
    return ControlNeXtPatch(controlnext, video).attach(model)


def _check_pictures(pictures, strength) -> None:
    if pictures.shape[0] < 2:
        raise BetwixtError(
            "'conditions' has one picture.",
            "One picture per frame is needed, at least two.",
            "Connect the conditions of 'Interpolate Conditions'.",
        )
    if isinstance(strength, list) and len(strength) != pictures.shape[0]:
        raise BetwixtError(
            f"'strength' holds {len(strength)} numbers and there are {pictures.shape[0]} condition pictures.",
            "One number for all or one per picture is allowed.",
            "Connect a list of as many, or a single number.",
        )


def _check_widths(model, controlnext) -> None:
    width = model.model.model_config.unet_config["model_channels"]
    made = controlnext.model.config.output
    if made != width:
        raise BetwixtError(
            f"The ControlNeXt encoder gives {made} channels and the model's first level has {width}.",
            "Both must belong together.",
            "Load the controlnext and unet files of the same release.",
        )


class ApplyBackwardMotion(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BetwixtApplyBackwardMotion",
            display_name="Apply Backward Motion (GI)",
            category=CATEGORY,
            description="Prepares a Stable Video Diffusion model for the fusion mode GI: going backward it uses the "
            "temporal attention of the forward direction, turned around, with projections fine-tuned for it.",
            search_aliases=["generative inbetweening", "reverse motion", "attention rotation", "svd keyframe"],
            inputs=[
                io.Model.Input("model", tooltip="Stable Video Diffusion, as published SVD-XT 1.0."),
                published_file_input(
                    "file",
                    GI_UNET,
                    "GI's UNet fine-tuned for backward motion, in models/diffusion_models; diffusers or ComfyUI names.",
                ),
                published_file_input(
                    "base",
                    SVD_14,
                    "What the file was fine-tuned from: svd.safetensors, SVD for 14 frames, in models/checkpoints or "
                    "diffusion_models. Only the difference of the two is used.",
                    folders=BASE_FOLDERS,
                    extra=(DIFFERENCE_ALONE,),
                ),
            ],
            outputs=[io.Model.Output(display_name="model", tooltip="The model, ready for the mode GI.")],
        )

    @classmethod
    def validate_inputs(cls, file, base) -> bool | str:
        answer = missing_file(GI_UNET, file)
        return answer if base == DIFFERENCE_ALONE or answer is not True else missing_file(SVD_14, base, BASE_FOLDERS)

    @classmethod
    def execute(cls, model, file, base) -> io.NodeOutput:
        require_svd(model, "model")
        finetuned = model_path(GI_UNET.folder, file, GI_UNET.described)
        original = None if base == DIFFERENCE_ALONE else _base_path(base)
        deltas = delta_weights(read_weights(finetuned), None if original is None else read_weights(original), file)
        return io.NodeOutput(BackwardMotion(deltas).attach(model))


def _base_path(name: str) -> str:
    if folder_paths.get_full_path(GI_UNET.folder, name):
        return model_path(GI_UNET.folder, name, SVD_14.described)
    return model_path(SVD_14.folder, name, SVD_14.described)


NODES = [LoadFCVGModel, LoadControlNeXt, ApplyControlNeXt, ApplyBackwardMotion]

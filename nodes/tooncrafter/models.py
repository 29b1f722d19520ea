"""ToonCrafter's and DynamiCrafter's files: the checkpoint and the sketch encoder."""

import folder_paths
from comfy_api.latest import io

from ...common.files.published_files import SKETCH_ENCODER, TOONCRAFTER
from .. import sockets
from ..checked_node import CheckedNode
from ..file_inputs import missing_file, published_file_input
from ..host.services.model_files import model_path
from ..host.services.notices import show_notice
from ..host.tooncrafter.files import load_checkpoint
from ..host.tooncrafter.sketch_guidance import load_sketch_encoder
from ..search_words import INBETWEENS
from ..shared_inputs import weight_dtype_input

CATEGORY = "Betwixt/ToonCrafter"
FOLDERS = ("checkpoints", "diffusion_models")  # pruned files are kept in either
TWINS = ("between two pictures (512_Interp)", "from one picture (512)")


class LoadToonCrafter(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BetwixtLoadToonCrafter",
            display_name="Load ToonCrafter",
            category=CATEGORY,
            description="Loads ToonCrafter or a DynamiCrafter (256, 512, 512-interp, 1024): a native MODEL, the first "
            "stage with the dual-reference decoder and, where the file holds them, CLIP and CLIP_VISION.",
            search_aliases=[
                "tooncrafter",
                "dynamicrafter",
                "cartoon interpolation",
                "inbetween",
                "checkpoint",
                *INBETWEENS,
            ],
            inputs=[
                published_file_input(
                    "file",
                    TOONCRAFTER,
                    "model.ckpt as published, its fp16 or its pruned repackaging, in models/checkpoints or "
                    "models/diffusion_models. Which model it is is told from its tensors.",
                    folders=FOLDERS,
                ),
                weight_dtype_input(
                    "Precision the UNet is kept in. default: the host decides (fp16 on most cards); fp8 halves "
                    "its memory again at some loss of quality; fp32 is the published one."
                ),
                io.Combo.Input(
                    "dynamicrafter_512",
                    options=list(TWINS),
                    default=TWINS[0],
                    advanced=True,
                    tooltip="Only for DynamiCrafter at 512 pixels: its two models look alike inside the file.",
                ),
            ],
            outputs=[
                io.Model.Output(display_name="model", tooltip="The video UNet, for stock samplers and LoRA."),
                sockets.FirstStage.Output(
                    display_name="first_stage", tooltip="Encoder, decoder and resampler, for the pack's own nodes."
                ),
                io.Clip.Output(display_name="clip", tooltip="Text encoder; empty if the file is a pruned one."),
                io.ClipVision.Output(
                    display_name="clip_vision", tooltip="Image encoder; empty if the file is a pruned one."
                ),
                io.String.Output(
                    display_name="report", tooltip="Which model it is, what the file holds and what is missing."
                ),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, file) -> bool | str:
        return missing_file(TOONCRAFTER, file, FOLDERS)

    @classmethod
    def execute(cls, file, weight_dtype, dynamicrafter_512) -> io.NodeOutput:
        folder = next((name for name in FOLDERS if folder_paths.get_full_path(name, file)), FOLDERS[0])
        path = model_path(folder, file, TOONCRAFTER.described)
        loaded = load_checkpoint(path, weight_dtype, dynamicrafter_512 == TWINS[0])
        if loaded.clip is None or loaded.clip_vision is None:
            show_notice(cls.hidden.unique_id, loaded.report)
        return io.NodeOutput(loaded.model, loaded.first_stage, loaded.clip, loaded.clip_vision, loaded.report)


class LoadSketchEncoder(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BetwixtLoadSketchEncoder",
            display_name="Load Sketch Encoder",
            category=CATEGORY,
            description="Loads ToonCrafter's sketch encoder as a CONTROL_NET, for 'Apply Sketches' or the host's own "
            "ControlNet nodes.",
            search_aliases=["tooncrafter sketch", "controlnet", "line art"],
            inputs=[
                published_file_input(
                    "file", SKETCH_ENCODER, "sketch_encoder.ckpt or its fp16 repackaging, in models/controlnet."
                )
            ],
            outputs=[io.ControlNet.Output(display_name="control_net", tooltip="The sketch encoder.")],
        )

    @classmethod
    def validate_inputs(cls, file) -> bool | str:
        return missing_file(SKETCH_ENCODER, file)

    @classmethod
    def execute(cls, file) -> io.NodeOutput:
        return io.NodeOutput(load_sketch_encoder(model_path(SKETCH_ENCODER.folder, file, SKETCH_ENCODER.described)))


NODES = [LoadToonCrafter, LoadSketchEncoder]

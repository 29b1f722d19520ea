"""How well a clip fits a prompt, in the eyes of the host's CLIP."""

import torch
from comfy_api.latest import io

from ...common.errors import BetwixtError
from ...common.files.published_files import CLIP_L_TEXT
from ...common.measures.measurement import checked_clip
from ...common.measures.prompt_fit import frame_accuracy, temporal_consistency
from ..checked_node import CheckedNode
from ..host.services.progress import NodeProgress
from .results import CATEGORY, measure_outputs, results

AT_ONCE = 16  # frames through the image encoder


def image_embeddings(clip_vision, frames: torch.Tensor, progress) -> torch.Tensor:
    """float32 [T, D]: projected CLIP embeddings of frames [T, H, W, 3], cropped to a square as CLIP was published."""
    embeddings = []
    for begin in range(0, len(frames), AT_ONCE):
        progress(begin / len(frames), "image encoder")
        found = clip_vision.encode_image(frames[begin : begin + AT_ONCE], crop=True)["image_embeds"]
        embeddings.append(found.float().cpu())
    return torch.cat(embeddings)


def text_embedding(clip, prompt: str, name: str) -> torch.Tensor:
    """float32 [D]: projected CLIP embedding of a prompt, of its first 75 tokens.

    Raises:
        BetwixtError: an empty prompt; a text encoder that is not CLIP's or lacks its projection.
    """
    if not prompt.strip():
        raise BetwixtError(f"'{name}' is empty.", "Fram-Acc compares two prompts.", f"Write one into '{name}'.")
    readable = prompt.encode("utf-8", "replace").decode()  # tokenizers refuse lone surrogates
    model = getattr(clip, "cond_stage_model", None)
    parts = model.modules() if isinstance(model, torch.nn.Module) else ()
    projections = [part.text_projection for part in parts if hasattr(part, "text_projection")]
    pooled = None
    if projections and not any(_untrained(projection.weight) for projection in projections):
        _, pooled = clip.encode_from_tokens(clip.tokenize(readable), return_pooled=True)
    if not isinstance(pooled, torch.Tensor):
        raise BetwixtError(
            "The text encoder gives no projected embedding.",
            "CLIP with its text projection is needed; those inside checkpoints lack it.",
            f"Load {CLIP_L_TEXT.described} with 'Load CLIP'.",
        )
    return pooled.reshape(-1).float().cpu()


def _untrained(weight: torch.Tensor | None) -> bool:
    """Nothing, zeros or the identity: what stands where a file holds no projection."""
    if weight is None or not bool(torch.isfinite(weight).all()) or not bool(weight.any()):
        return True
    return bool((weight == torch.eye(*weight.shape, dtype=weight.dtype, device=weight.device)).all())


class MeasurePromptFit(CheckedNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        options = [
            io.DynamicCombo.Option("Tem-Con", []),
            io.DynamicCombo.Option(
                "Fram-Acc",
                [
                    io.Clip.Input("clip", tooltip="The text half of the same CLIP, with its projection."),
                    io.String.Input(
                        "prompt", default="", multiline=True, tooltip="What the clip was translated to, in words."
                    ),
                    io.String.Input(
                        "source_prompt", default="", multiline=True, tooltip="What the clip showed before, in words."
                    ),
                ],
            ),
        ]
        return io.Schema(
            node_id="BetwixtMeasurePromptFit",
            display_name="Measure Prompt Fit",
            category=CATEGORY,
            description="Measures with CLIP how alike neighbouring frames are (Tem-Con), or whether they fit a new "
            "prompt better than the old one (Fram-Acc).",
            search_aliases=[
                "clip score",
                "tem-con",
                "fram-acc",
                "frame accuracy",
                "temporal consistency",
                "提示词",
                "프롬프트",
            ],
            inputs=[
                io.Image.Input("frames", tooltip="The clip."),
                io.ClipVision.Input("clip_vision", tooltip="The image half of CLIP, e.g. ViT-L/14."),
                io.DynamicCombo.Input("measure", options=options, tooltip="What is measured; Fram-Acc needs prompts."),
            ],
            outputs=measure_outputs(),
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, frames, clip_vision, measure) -> io.NodeOutput:
        name = measure["measure"]
        frames = checked_clip(frames, "frames", 2 if name == "Tem-Con" else 1)
        progress = NodeProgress(cls.hidden.unique_id)
        if name == "Tem-Con":
            return results(temporal_consistency(image_embeddings(clip_vision, frames, progress)), frames)
        target, source = (text_embedding(measure["clip"], measure[name], name) for name in ("prompt", "source_prompt"))
        return results(frame_accuracy(image_embeddings(clip_vision, frames, progress), target, source), frames)


NODES = [MeasurePromptFit]

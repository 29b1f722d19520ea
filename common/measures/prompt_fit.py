"""Tem-Con and Fram-Acc of text-guided video translation, from CLIP embeddings."""

import torch
import torch.nn.functional as F

from ..errors import BetwixtError
from .measurement import Measurement, mean

UNRELATED = 0.08  # cosine; of CLIP's two halves, even a wrong caption is nearer to a picture


def _unit(embeddings: torch.Tensor, name: str) -> torch.Tensor:
    embeddings = embeddings.detach().float().cpu()
    if not bool(torch.isfinite(embeddings).all()) or not bool((embeddings.norm(dim=-1) > 0).all()):
        raise BetwixtError(
            f"The embedding of {name} is zero or not finite.",
            "CLIP gives finite vectors.",
            "Check that the CLIP files are the published ones.",
        )
    return F.normalize(embeddings, dim=-1)


def temporal_consistency(images: torch.Tensor) -> Measurement:
    """Tem-Con: cosine of the CLIP image embeddings of neighbouring frames, mean over the clip.

    Args:
        images: [T, D], T >= 2.
    """
    unit = _unit(images, "a frame")
    values = (unit[:-1] * unit[1:]).sum(dim=-1).clamp(-1, 1).tolist()
    return Measurement("Tem-Con", mean(values), tuple(values), "cosine", True)


def frame_accuracy(images: torch.Tensor, target: torch.Tensor, source: torch.Tensor) -> Measurement:
    """Fram-Acc: share of frames that CLIP finds nearer to the target prompt than to the source prompt.

    Args:
        images: [T, D].
        target, source: [D], the text embeddings.

    Returns:
        0..1; per frame the margin, cosine to the target minus cosine to the source.

    Raises:
        BetwixtError: text and image embeddings of different widths: CLIP and CLIP vision are not a pair.
    """
    if not images.shape[-1] == target.shape[-1] == source.shape[-1]:
        raise BetwixtError(
            f"The image embeddings have {images.shape[-1]} numbers and the prompt's {target.shape[-1]}.",
            "CLIP and CLIP vision must be the two halves of one model.",
            "Load both from the same file, e.g. CLIP ViT-L/14.",
        )
    unit = _unit(images, "a frame")
    towards, away = unit @ _unit(target, "the target prompt"), unit @ _unit(source, "the source prompt")
    margins = (towards - away).tolist()
    note = ""
    if float(torch.maximum(towards.abs(), away.abs()).max()) < UNRELATED:
        note = "the prompts have nothing in common with any frame; does the CLIP file hold its text projection?"
    value = sum(margin > 0 for margin in margins) / len(margins)
    return Measurement("Fram-Acc", value, tuple(margins), "", True, note=note)

"""Decoding a clip in chunks of an explicit length, so that the result does not depend on free memory.

SVD's temporal decoder mixes the frames it is given in one call; how a clip is cut into calls is part of the result
(docs/methods/svd.md, Decoding).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from ...common.errors import BetwixtError
from ...common.progress import Progress, silent


@dataclass(frozen=True)
class Chunk:
    """Frames ``start`` .. ``stop - 1``, the first ``fade`` of which are cross-faded with the chunk before."""

    start: int
    stop: int
    fade: int


def plan(frames: int, length: int, overlap: int) -> list[Chunk]:
    """How a clip is cut.

    Args:
        frames: length of the clip, >= 1.
        length: frames per chunk, >= 1; 2 is published. The last chunk is moved forward to end with the clip if
            ``overlap`` is positive, else it is shorter.
        overlap: frames that neighbouring chunks share, 0 .. length - 1.

    Raises:
        BetwixtError: an overlap that is not shorter than the chunk.
    """
    if not 0 <= overlap < length:
        raise BetwixtError(
            f"The overlap is {overlap} and the chunk {length} frames.",
            "The overlap must be shorter than the chunk.",
            f"Set 'overlap' to {max(0, length - 1)} or less.",
        )
    chunks = [Chunk(0, min(length, frames), 0)]
    while chunks[-1].stop < frames:
        stop = min(chunks[-1].stop + length - overlap, frames)
        start = stop - length if overlap else chunks[-1].stop
        chunks.append(Chunk(start, stop, chunks[-1].stop - start))
    return chunks


def decode(
    decode_chunk: Callable[[torch.Tensor], torch.Tensor],
    latents: torch.Tensor,
    length: int,
    overlap: int = 0,
    progress: Progress = silent,
) -> torch.Tensor:
    """All frames of a clip.

    Args:
        decode_chunk: latents [n, C, h, w] to pictures [n, H, W, 3], decoded as one clip of n frames.
        latents: [F, C, h, w].
        length, overlap: see :func:`plan`; shared frames fade linearly from one chunk to the next.
        progress: called with the share done; raises to cancel.

    Returns:
        float32 [F, H, W, 3] on the device of ``decode_chunk``'s result.
    """
    frames = latents.shape[0]
    pictures = latents.new_empty(0)  # until the first chunk tells the size
    for chunk in plan(frames, length, overlap):
        decoded = decode_chunk(latents[chunk.start : chunk.stop]).float()
        if not len(pictures):
            pictures = decoded.new_empty(frames, *decoded.shape[1:])
        shared = chunk.start + chunk.fade
        for i in range(chunk.fade):
            share = (i + 1) / (chunk.fade + 1)
            pictures[chunk.start + i].lerp_(decoded[i], share)
        pictures[shared : chunk.stop] = decoded[chunk.fade :]
        progress(chunk.stop / frames)
    return pictures

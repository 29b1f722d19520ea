"""Frames that were finished when a long job failed or was cancelled: written to the output folder."""

import os

import folder_paths
import torch
from PIL import Image

from ...common.images import to_uint8

PREFIX = "betwixt/unfinished key frames/key"


def save_unfinished(pictures: list[torch.Tensor], numbers: tuple[int, ...]) -> str:
    """Write pictures [1, H, W, 3] as PNG, named by frame number; returns their folder."""
    height, width = pictures[0].shape[1:3]
    folder, name, counter, _, _ = folder_paths.get_save_image_path(
        PREFIX, folder_paths.get_output_directory(), width, height
    )
    for picture, number in zip(pictures, numbers, strict=False):
        file = os.path.join(folder, f"{name}_{counter:05}_frame{number:05}.png")
        Image.fromarray(to_uint8(picture)[0]).save(file, compress_level=4)
    return folder

"""Model files: where users put them, and reading them safely with errors that say what to do."""

import os

import comfy.utils
import folder_paths

from ....common.errors import BetwixtError
from ....common.files.weight_files import check_safetensors, read_torch_file, unreadable

# Folder name under ComfyUI/models -> file extensions listed. Existing host folders are extended, never replaced.
MODEL_FOLDERS = {
    "betwixt": {".pth", ".tar", ".pt", ".bin", ".ckpt", ".safetensors"},
    "dwpose": {".onnx"},
    "optical_flow": {".pth", ".safetensors"},
}


def register_model_folders() -> None:
    """Make the pack's folders known to the host; paths from the user's extra_model_paths.yaml are kept."""
    for name, extensions in MODEL_FOLDERS.items():
        folder_paths.add_model_folder_path(name, os.path.join(folder_paths.models_dir, name))
        paths, known = folder_paths.folder_names_and_paths[name]
        folder_paths.folder_names_and_paths[name] = (paths, set(known) | extensions)
    for folder in _other_dwpose_folders():
        folder_paths.add_model_folder_path("dwpose", folder)


def _other_dwpose_folders() -> list[str]:
    """Where the host's detectors and other packs keep the same ONNX files."""
    known = folder_paths.folder_names_and_paths
    folders = [os.path.join(folder_paths.models_dir, name) for name in ("detection", "onnx")]
    folders += [path for name in ("detection", "onnx") if name in known for path in known[name][0]]
    packs = folder_paths.get_folder_paths("custom_nodes")
    folders += [os.path.join(pack, "comfyui_controlnet_aux", "ckpts", "yzd-v", "DWPose") for pack in packs]
    return folders


def model_path(folder: str, filename: str, published: str) -> str:
    """Full path of a model file.

    Args:
        folder: model folder name, e.g. "betwixt".
        filename: name relative to that folder, as the combo lists it.
        published: where the file comes from and its licence, for the error text.
    """
    path = folder_paths.get_full_path(folder, filename)
    if path is None:
        raise BetwixtError(
            f"The model file '{filename}' was not found.",
            f"It belongs into {folder_paths.get_folder_paths(folder)[0]}.",
            f"Get it from {published} and put it there.",
        )
    return path


def read_weights(path: str, mapped: bool = False) -> dict:
    """Contents of a .safetensors or torch file, without ever running code from it.

    Torch files may hold plain data, numpy values and settings objects beside the tensors (settings come back empty).
    With ``mapped`` their tensors stay in the file until they are used, as those of .safetensors files always do.

    Raises:
        BetwixtError: not a weight file, damaged or truncated, not the file its name's hash belongs to, or a pickle
            that holds code.
    """
    if not path.lower().endswith((".safetensors", ".sft")):
        return read_torch_file(path, mapped)
    check_safetensors(path)
    try:
        return comfy.utils.load_torch_file(path, safe_load=True)
    except Exception as error:
        raise unreadable(path, error) from error

"""Model files: where users put them, and reading them safely with errors that say what to do."""

import os
import pickle
import zipfile

import comfy.utils
import folder_paths
import torch

from ....common.errors import BetwixtError
from ....common.files.weight_pickles import ForbiddenPickle, read_tensors, refuse_other_files

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
    Nesting is left as the host leaves it: see :func:`.checkpoints.unwrap_state_dict`.

    Raises:
        BetwixtError: not a weight file, damaged or truncated, or a pickle that holds code.
    """
    name = os.path.basename(path)
    refuse_other_files(path)
    try:
        contents = _read(path, mapped)
    except ForbiddenPickle as error:
        raise BetwixtError(
            f"'{name}' wants to use '{error.name}' while it is opened; this may be harmful code and was not run.",
            "Only files that hold tensors and plain settings are read.",
            f"Get the file from the place named in the README's table, or as .safetensors: {path}",
        ) from error
    except Exception as error:
        reason = (str(error).strip() or "no further reason").split("\n")[0][:200]
        raise BetwixtError(
            f"'{name}' could not be read as a weight file ({type(error).__name__}: {reason}).",
            "It must be a complete .safetensors file or a PyTorch file that holds tensors only.",
            f"Download it again and compare its size with the one in the README's table: {path}",
        ) from error
    if not isinstance(contents, dict):
        raise BetwixtError(
            f"'{name}' holds a {type(contents).__name__} instead of named tensors.",
            "A weight file maps names to tensors.",
            f"Choose another file: {path}",
        )
    return contents


def _read(path: str, mapped: bool):
    mapped = mapped and zipfile.is_zipfile(path)  # neither .safetensors nor torch's format before 1.6
    try:
        if mapped:
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        return comfy.utils.load_torch_file(path, safe_load=True)
    except pickle.UnpicklingError:  # something beside the tensors that torch does not allow by itself
        return read_tensors(path, mapped)

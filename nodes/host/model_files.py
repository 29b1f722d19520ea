"""Model files: where users put them, and reading them safely with errors that say what to do."""

import os

import comfy.utils
import folder_paths

from ...common.errors import BetwixtError

# Folder name under ComfyUI/models -> file extensions listed. Existing host folders are extended, never replaced.
MODEL_FOLDERS = {
    "betwixt": {".pth", ".tar", ".pt", ".bin", ".ckpt", ".safetensors"},
    "dwpose": {".onnx"},
}


def register_model_folders() -> None:
    """Make the pack's folders known to the host; paths from the user's extra_model_paths.yaml are kept."""
    for name, extensions in MODEL_FOLDERS.items():
        folder_paths.add_model_folder_path(name, os.path.join(folder_paths.models_dir, name))
        paths, known = folder_paths.folder_names_and_paths[name]
        folder_paths.folder_names_and_paths[name] = (paths, set(known) | extensions)


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


def read_weights(path: str) -> dict:
    """Contents of a .safetensors or torch file, without ever running code from it.

    Raises:
        BetwixtError: unreadable, truncated, or a pickle that holds code.
    """
    name = os.path.basename(path)
    try:
        return comfy.utils.load_torch_file(path, safe_load=True)
    except Exception as error:
        reason = str(error).strip().split("\n")[0][:200]
        raise BetwixtError(
            f"'{name}' could not be read as a weight file ({type(error).__name__}: {reason}).",
            "It must be a complete .safetensors file or a PyTorch file that holds tensors only.",
            f"Download it again and compare its size with the one in the README's table: {path}",
        ) from error

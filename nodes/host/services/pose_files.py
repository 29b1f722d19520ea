"""JSON files in the host's input and output folders."""

import json
import os

import folder_paths

from ....common.errors import BetwixtError


def load_json(path: str) -> object:
    """The contents of a JSON file.

    Raises:
        BetwixtError: not JSON, or not UTF-8 text.
    """
    try:
        with open(path, encoding="utf-8-sig") as file:
            return json.load(file)
    except (ValueError, RecursionError) as error:
        raise BetwixtError(
            f"'{os.path.basename(path)}' is not valid JSON ({error}).",
            "A JSON file with one frame or a list of frames is needed.",
            "Choose another file or correct it in a text editor.",
        ) from error


def save_json(value: object, filename_prefix: str) -> str:
    """Write a value into the output folder under the next free number; a file appears complete or not at all.

    Returns:
        The file's name, relative to the output folder.
    """
    root = folder_paths.get_output_directory()
    folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(filename_prefix, root)
    filename = f"{name}_{counter:05}.json"
    path = os.path.join(folder, filename)
    try:
        with open(f"{path}.tmp", "w", encoding="utf-8") as file:
            json.dump(value, file, default=_plain)
        os.replace(f"{path}.tmp", path)
    except BaseException:
        if os.path.exists(f"{path}.tmp"):
            os.unlink(f"{path}.tmp")
        raise
    return os.path.join(subfolder, filename)


def _plain(value: object) -> object:
    """Numbers and arrays of numpy or torch, which other packs leave in their data, as Python's."""
    return value.tolist()

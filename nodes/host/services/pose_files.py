"""JSON files in the host's input and output folders."""

import json
import os

import folder_paths

from ....common.errors import BetwixtError

LONGEST_NAME = 200  # characters; file systems take 255 bytes


def load_json(path: str) -> object:
    """The contents of a JSON file.

    Raises:
        BetwixtError: no such file, not JSON, or not UTF-8 text.
    """
    try:
        with open(path, encoding="utf-8-sig") as file:
            return json.load(file)
    except OSError as error:
        raise BetwixtError(
            f"'{os.path.basename(path)[:80]}' cannot be read ({error.strerror}).",
            "A JSON file in the input folder is needed.",
            "Choose another file.",
        ) from error
    except (ValueError, RecursionError) as error:
        raise BetwixtError(
            f"'{os.path.basename(path)}' is not valid JSON ({error}).",
            "A JSON file with one frame or a list of frames is needed.",
            "Choose another file or correct it in a text editor.",
        ) from error


def annotated_path(file: str) -> str:
    """The path of a file in the input folder, or where "[output]" behind its name says.

    Raises:
        BetwixtError: a name that leads out of the folder.
    """
    try:
        return folder_paths.get_annotated_filepath(file)
    except ValueError as error:
        raise BetwixtError(
            f"'{file[:80]!r}' is no name of a file in the input folder.",
            "Names and subfolders inside it are allowed.",
            "Choose another file.",
        ) from error


def save_json(value: object, filename_prefix: str) -> str:
    """Write a value into the output folder under the next free number; a file appears complete or not at all.

    Returns:
        The file's name, relative to the output folder.

    Raises:
        BetwixtError: a prefix that is no name, or leads out of the folder; a value that JSON cannot express.
    """
    root = folder_paths.get_output_directory()
    try:
        if not filename_prefix.isprintable() or len(filename_prefix) > LONGEST_NAME:
            raise ValueError(f"control characters, or more than {LONGEST_NAME} in all")
        folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(filename_prefix, root)
    except Exception as error:  # the host raises plain exceptions for what it does not allow
        raise BetwixtError(
            f"'filename_prefix' is {filename_prefix[:80]!r} ({str(error).splitlines()[0][:120].strip('* ')}).",
            "The beginning of a file name inside the output folder is needed, e.g. poses/pose.",
            "Change 'filename_prefix'.",
        ) from error
    filename = f"{name}_{counter:05}.json"
    path = os.path.join(folder, filename)
    try:
        with open(f"{path}.tmp", "w", encoding="utf-8") as file:
            json.dump(value, file, default=_plain)
        os.replace(f"{path}.tmp", path)
    except BaseException as error:
        if os.path.exists(f"{path}.tmp"):
            os.unlink(f"{path}.tmp")
        if isinstance(error, AttributeError | TypeError | ValueError | RecursionError):
            raise BetwixtError(
                f"The poses cannot be written as JSON ({type(error).__name__}: {str(error)[:120]}).",
                "They must hold texts, numbers, lists and dictionaries alone.",
                "Leave out what another node has added to them.",
            ) from error
        raise
    return os.path.join(subfolder, filename)


def _plain(value: object) -> object:
    """Numbers and arrays of numpy or torch, which other packs leave in their data, as Python's."""
    return value.tolist()

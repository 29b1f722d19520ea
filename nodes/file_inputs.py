"""Inputs that choose a model file."""

from collections.abc import Sequence

import folder_paths
from comfy_api.latest import io

from ..common.errors import BetwixtError
from ..common.files.published_files import PublishedFile
from .host.services.model_files import model_path


def published_file_input(
    name: str, published: PublishedFile, tooltip: str, folders: Sequence[str] = (), extra: Sequence[str] = ()
) -> io.Combo.Input:
    """A combo of the files that are there, so that the interface can tell a missing one; the published name is what a
    new node asks for.

    Args:
        folders: where such files are kept; default: the published file's folder.
        extra: choices that are no files, after the files.
    """
    found = {file for folder in folders or (published.folder,) for file in folder_paths.get_filename_list(folder)}
    return io.Combo.Input(name, options=[*sorted(found), *extra], default=published.name, tooltip=tooltip)


def missing_file(published: PublishedFile, filename: str | None, folders: Sequence[str] = ()) -> bool | str:
    """For a loader's ``validate_inputs``: True, or what is missing, where it belongs and where to get it.

    ``filename`` is None when a wire brings it; then the loader itself says so.
    """
    places = folders or (published.folder,)
    if filename is None or any(folder_paths.get_full_path(place, filename) for place in places):
        return True
    try:
        model_path(places[0], filename, published.described)
    except BetwixtError as error:
        return str(error)
    return True

"""Inputs that choose a model file."""

import folder_paths
from comfy_api.latest import io

from ..common.files.published_files import PublishedFile


def published_file_input(name: str, published: PublishedFile, tooltip: str) -> io.Combo.Input:
    """A combo of the files in the published file's folder, the published name first choice.

    The published name is listed even when the file is missing: the error then says where to get it.
    """
    options = sorted({*folder_paths.get_filename_list(published.folder), published.name})
    return io.Combo.Input(name, options=options, default=published.name, tooltip=tooltip)

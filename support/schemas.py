"""The pack's nodes and their inputs, as ComfyUI sees them; it must be importable (``support.bootstrap.use_host``)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # imported where it is used: ComfyUI is made importable after this module is read
    from comfy_api.latest import io


def pack_nodes() -> list[type[io.ComfyNode]]:
    """The node classes the pack hands to ComfyUI, in order."""
    from betwixt.nodes.extension import comfy_entrypoint, register_model_folders

    async def collect():
        register_model_folders()  # all of on_load but the example inputs, which would go to ComfyUI's own tree
        return await (await comfy_entrypoint()).get_node_list()

    return asyncio.run(collect())


def every_input(inputs: list[io.Input], prefix: str = "") -> Iterator[tuple[str, io.Input]]:
    """All inputs with their address in an API graph ("timing.easing"), those inside dynamic inputs included.

    An Autogrow input yields itself and its template, addressed by the first generated name.
    """
    from comfy_api.latest import io

    for entry in inputs:
        path = prefix + entry.id
        yield path, entry
        if isinstance(entry, io.DynamicCombo.Input):
            for option in entry.options:
                yield from every_input(option.inputs, f"{path}.")
        elif isinstance(entry, io.Autogrow.Input):
            yield f"{path}.{entry.template.names[0]}", entry.template.input

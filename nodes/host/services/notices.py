"""Remarks shown on a node while the graph goes on."""

import logging
import sys

logger = logging.getLogger(__name__)


def show_notice(node_id: str | None, text: str) -> None:
    """Write ``text`` to the log and, where a server runs, under the node in the interface."""
    logger.warning("Betwixt: %s", text)
    module = sys.modules.get("server")  # ComfyUI's; absent when the nodes run without a server
    server = getattr(getattr(module, "PromptServer", None), "instance", None)
    if server is not None and node_id is not None:
        server.send_progress_text(text, node_id)


def tell_odd_size(node_id: str | None, height: int, width: int) -> None:
    """Say before the work that frames of this size cannot become a video file of the host."""
    if height % 2 or width % 2:
        show_notice(
            node_id,
            f"The frames are {width}x{height}: 'Save Video' (H.264) takes even widths and heights only. "
            "Crop the pictures by one pixel, e.g. with 'Image Crop', or save the frames with 'Save Image'.",
        )

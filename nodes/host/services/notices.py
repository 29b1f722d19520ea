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

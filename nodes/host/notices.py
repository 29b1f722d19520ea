"""Remarks shown on a node while the graph goes on."""

import logging

from server import PromptServer

logger = logging.getLogger(__name__)


def show_notice(node_id: str | None, text: str) -> None:
    """Write ``text`` to the log and, where an interface is connected, under the node."""
    logger.warning("Betwixt: %s", text)
    server = getattr(PromptServer, "instance", None)
    if server is not None and node_id is not None:
        server.send_progress_text(text, node_id)

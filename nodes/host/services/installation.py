"""How the pack lies in custom_nodes: what the host takes without a word although something then does not work."""

import logging
import string
from collections.abc import Mapping
from pathlib import Path

logger = logging.getLogger(__name__)

PACK = Path(__file__).resolve().parents[3]
IN_ADDRESSES = frozenset(string.ascii_letters + string.digits + "-._~!$&'()*+,;=@")  # path characters, RFC 3986, 3.3
EVERYWHERE = "BetwixtMatchLines"  # a node that every version of the pack has


def warn_of_odd_installation(registered: Mapping[str, type], folder: Path = PACK) -> list[str]:
    """One line in the log for each oddity; returns them.

    - A second copy of the pack: the host keeps the nodes of the one that it loads last.
    - A folder name that changes in an address (a space, letters beyond ASCII): the host then answers "not found" to
      requests for the pack's templates and help pages. The folders above it are free.

    Args:
        registered: the host's node classes by id, before this copy's are added.
        folder: of this copy.
    """
    oddities = []
    other = getattr(registered.get(EVERYWHERE), "RELATIVE_PYTHON_MODULE", "").removeprefix("custom_nodes.")
    if other and other != folder.name:
        oddities.append(
            f"it is installed twice, as '{other}' and as '{folder.name}' in custom_nodes; every template and block is "
            "listed twice, and only one copy's nodes are used. Remove one of the two folders and restart ComfyUI."
        )
    if set(folder.name) - IN_ADDRESSES:
        oddities.append(
            f"its folder '{folder.name}' has a name that ComfyUI cannot serve templates and help pages from. Rename it "
            "to 'ComfyUI-Betwixt' and restart ComfyUI; the nodes work either way."
        )
    for oddity in oddities:
        logger.warning("Betwixt: %s", oddity)
    return oddities

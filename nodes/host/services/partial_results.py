"""Results of runs that were cut short, which the host's cache must not hand out as whole ones."""

import logging

import comfy.model_management as management

logger = logging.getLogger(__name__)


def what_ended_it(error: BaseException) -> str:
    """What to tell the user about a cancel or a failure after which the finished part goes on; failures are logged."""
    if isinstance(error, management.InterruptProcessingException):
        return "Cancelled"
    logger.warning("Betwixt: a part of the work failed", exc_info=error)
    return str(error)


class PartialResults:
    """Counts, per node, the runs that ended early and went on with what was finished.

    The count belongs into the node's fingerprint: the host then takes the next run for a changed one and does it again,
    instead of answering it with the part.
    """

    def __init__(self):
        self._counts: dict[str | None, int] = {}

    def note(self, node_id: str | None) -> None:
        """A run of this node has put out a part of its result."""
        self._counts[node_id] = self.fingerprint(node_id) + 1

    def fingerprint(self, node_id: str | None) -> int:
        return self._counts.get(node_id, 0)

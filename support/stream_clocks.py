"""Streams and events with vector clocks: what has waited for what, on a machine without an accelerator.

A stream's own entry counts the operations given to it; the others tell up to which operation of another stream it has
waited. An instance of :class:`Streams` stands in for ``torch.cuda``.
"""

import contextlib
from collections import Counter


class Event:
    def __init__(self, clock: Counter):
        self.clock = Counter(clock)


class Stream:
    def __init__(self, device=None):
        self.clock = Counter()

    def operate(self) -> int:
        """Give the stream an operation; returns its number."""
        self.clock[self] += 1
        return self.clock[self]

    def record_event(self) -> Event:
        return Event(self.clock)

    def wait_event(self, event: Event) -> None:
        self.clock |= event.clock

    def wait_stream(self, other: "Stream") -> None:
        self.clock |= other.clock


class Streams:
    """The streams of one device.

    Attributes:
        computing: the stream outside any :meth:`stream`.
        made: all others.
    """

    def __init__(self):
        self.computing, self.made, self._now = Stream(), [], []

    def Stream(self, device=None) -> Stream:  # noqa: N802 as in torch.cuda
        self.made.append(Stream(device))
        return self.made[-1]

    def current_stream(self, device=None) -> Stream:
        return self._now[-1] if self._now else self.computing

    @contextlib.contextmanager
    def stream(self, stream: Stream):
        """What is done inside is one operation of ``stream``."""
        self._now.append(stream)
        stream.operate()
        try:
            yield
        finally:
            self._now.pop()

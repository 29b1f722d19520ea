"""Peak memory of a piece of work."""

import threading

import psutil

MEBIBYTE = 2**20


class PeakMemory:
    """Context manager: the most resident memory the process had inside, above that at entry, in MiB."""

    def __enter__(self) -> "PeakMemory":
        self._process = psutil.Process()
        self._start = self._peak = self._process.memory_info().rss
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._done.wait(0.002):
            self._peak = max(self._peak, self._process.memory_info().rss)

    def __exit__(self, *_) -> None:
        self._done.set()
        self._thread.join()
        self.mebibytes = (self._peak - self._start) / MEBIBYTE

"""What was last made of pictures: steps and nodes that need the same of the same pictures have it made once."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from functools import wraps
from threading import Lock
from typing import TypeVar, cast

import numpy as np

Work = TypeVar("Work", bound=Callable)
Result = np.ndarray | tuple[np.ndarray, ...]

MOST = 32 * 2**20  # bytes of all results that are kept
LARGEST = 4 * 2**20  # bytes of one that is


class RecentResults:
    """Results by what they were made of, the newest ones.

    Args:
        most: bytes of all of them.
        largest: bytes of one; what is larger is not kept.
    """

    def __init__(self, most: int = MOST, largest: int = LARGEST):
        self._most, self._largest = most, largest
        self._kept: OrderedDict[bytes, Result] = OrderedDict()
        self._size = 0
        self._lock = Lock()

    def get(self, key: bytes) -> Result | None:
        """What was kept under a key."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def keep(self, key: bytes, result: Result) -> None:
        """Keep a result, and forget those that were not asked for longest."""
        size = _bytes(result)
        with self._lock:
            if size > self._largest or key in self._kept:
                return
            self._kept[key] = result
            self._size += size
            while self._size > self._most:
                self._size -= _bytes(self._kept.popitem(last=False)[1])

    def forget(self) -> None:
        """Forget all of them."""
        with self._lock:
            self._kept.clear()
            self._size = 0


recent_results = RecentResults()


def made_once(work: Work) -> Work:
    """Decorator of functions that make an array, or a tuple of arrays, of arrays and nothing else.

    Results are found again by the contents of the arrays, so they are never those of other pictures. They cannot be
    written to: others hold them too.
    """

    @wraps(work)
    def once(*arrays: np.ndarray) -> Result:
        key = _digest(f"{work.__module__}.{work.__qualname__}", arrays)
        result = recent_results.get(key)
        if result is None:
            result = work(*arrays)
            for array in result if isinstance(result, tuple) else (result,):
                array.flags.writeable = False
            recent_results.keep(key, result)
        return result

    return cast(Work, once)


def _bytes(result: Result) -> int:
    return sum(array.nbytes for array in (result if isinstance(result, tuple) else (result,)))


def _digest(name: str, arrays: tuple[np.ndarray, ...]) -> bytes:
    digest = hashlib.blake2b(name.encode(), digest_size=16)
    for array in arrays:
        digest.update(f"{array.shape}{array.dtype.str}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.digest()

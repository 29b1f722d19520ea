"""A Ray cluster: an own one on this machine, which nobody else can reach, or one that runs already."""

import os
import socket
import sys
import tempfile
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..console import say
from ..failures import Failure, UsageMistake
from ..folders import PACK
from .scratch import scratch_folder

LOOPBACK = ("127.0.0.1", "::1")
# Short: the paths of Ray's sockets may have 107 characters, and temporary folders of macOS have long names.
PLACE = "/tmp" if os.name == "posix" and os.access("/tmp", os.W_OK | os.X_OK) else tempfile.gettempdir()
SCRATCH = "bxr-"
STARTS = 3
# What a client of HTTP/2, and so of Ray, says first, and the kind of the frame that is answered; Ray itself would ask
# something else for minutes.
HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
SETTINGS = b"\4"
# Ray binds its sockets to the address of its node. Only this setting, read when Ray is imported, makes that the
# loopback address on all systems, as it is on Windows and macOS anyway: 'ray.init' replaces one that it is given.
TOKEN = Path.home() / ".ray" / "auth_token"
CLUSTERS = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"


def require_ray(own: bool):
    """The module. Raises ``Failure`` with what to install.

    Args:
        own: for an own cluster.
    """
    if own:
        os.environ[CLUSTERS] = "0"
    elif TOKEN.is_file():  # 'ray start' asks for it where it is there; a driver only does when it is told
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    try:
        import ray
    except ImportError as error:
        from .command import NO_RAY

        raise Failure(NO_RAY.format(python=sys.executable, pack=PACK)) from error
    return ray


@contextmanager
def cluster(address: str | None, workers: int | None) -> Iterator[tuple[Any, int]]:
    """(ray, number of workers): an own cluster on this machine, or a running one.

    Raises:
        UsageMistake: nobody, or no Ray, answers at the address.
    """
    ray = require_ray(own=address is None)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    options: dict = {"log_to_driver": False, "logging_level": "ERROR"}
    with scratch_folder(SCRATCH, PLACE) as scratch:
        if address is None:
            options |= {"num_cpus": workers or os.cpu_count(), "include_dashboard": False}
            options |= {"_temp_dir": str(scratch), "address": "local"}
        else:
            _require_listener(address)
            options["address"] = address
        options["runtime_env"] = {"env_vars": {"PYTHONPATH": str(PACK)}}
        try:
            _start(ray, options, STARTS if address is None else 1)
        except Exception as error:  # Ray raises many kinds
            if address is None:
                raise Failure(f"Ray did not start on this machine: {first_line(error)}") from error
            raise UsageMistake(
                f"--address {address}: no Ray cluster answers there ({first_line(error)}). If it was started with a "
                f"token, that is needed here too: in {TOKEN}, or named by RAY_AUTH_TOKEN_PATH with RAY_AUTH_MODE=token."
            ) from error
        try:
            if address is None:
                _require_loopback(ray)
            yield ray, _count(ray, address is None, workers)
        finally:
            ray.shutdown()


def _count(ray, own: bool, wanted: int | None) -> int:
    """Workers: as many as are wanted, but one per card; without cards one on this machine, or one per processor."""
    found = ray.cluster_resources()
    cards = int(found.get("GPU", 0))
    if wanted and cards and wanted > cards:
        say(f"  {cards} workers, not {wanted}: one per card")
        return cards
    return wanted or cards or (1 if own else int(found.get("CPU", 1)))


def _start(ray, options: dict, tries: int) -> None:
    """Ray gives a local node 30 s to start; on a crowded machine it needs another try."""
    for left in reversed(range(tries)):
        try:
            ray.init(**options)
            return
        except Exception:  # of many kinds
            ray.shutdown()
            if not left:
                raise


def _require_loopback(ray) -> None:
    """Raises ``Failure`` where an own cluster can be reached from the network."""
    listens = ray.util.get_node_ip_address()
    if listens not in LOOPBACK:
        raise Failure(
            f"Ray {ray.__version__} listens on {listens}, which others can reach, and does what they ask. Another "
            "version may not (the pack is tested with 2.60); or start it yourself, with authentication, and name it: "
            "ray start --head, then --address HOST:PORT."
        )


def _require_listener(address: str) -> None:
    parts = urllib.parse.urlsplit(address if "://" in address else f"//{address}")
    try:
        port = parts.port
        if not parts.hostname or not port:
            raise UsageMistake(f"--address {address}: expected ray://HOST:PORT or HOST:PORT.")
        with socket.create_connection((parts.hostname, port), timeout=5) as connection:
            connection.settimeout(5)
            connection.sendall(HTTP2)
            answer = b"" if os.environ.get("RAY_USE_TLS") not in (None, "0") else connection.recv(4)
    except (OSError, ValueError) as error:
        raise UsageMistake(f"--address {address}: nobody answers there ({error}). Is the cluster up?") from error
    if answer[3:] not in (b"", SETTINGS):
        raise UsageMistake(f"--address {address}: something answers there that is no Ray.")


def first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def last_line(error: BaseException) -> str:
    """Of an error in a worker, whose text ends with the error itself, behind its traceback."""
    return (str(error).strip() or type(error).__name__).splitlines()[-1][:200]

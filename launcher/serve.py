"""``betwixt.py serve``: the user interface with the pack, until Ctrl-C."""

import contextlib
import time
from pathlib import Path

from .console import say
from .failures import ServerLost
from .run import stoppable
from .server import Server

LOOK_SECONDS = 0.2


def serve(args, host: Path, base: Path) -> None:
    """The command. ``args``: port. ComfyUI's log is shown and kept in ``base/betwixt-server.log``."""
    say(f"Starting ComfyUI from {host}; models, input and output are in {base}")
    log = base / "betwixt-server.log"
    previews = ["--preview-method", "auto"]
    with stoppable(), Server(host, base, port=args.port, log=log, throwaway=False, arguments=previews) as server:
        say(f"Open {server.url} in a browser. Ctrl-C stops the server. Its log, also in {log}:")
        with open(log, encoding="utf-8", errors="replace") as text, contextlib.suppress(KeyboardInterrupt):
            while server.alive:
                print(text.read(), end="", flush=True)
                time.sleep(LOOK_SECONDS)
            raise ServerLost(f"ComfyUI stopped by itself. The end of its log:\n{server.tail()}")
        say("Stopping the server ...")

"""``betwixt.py serve``: the user interface with the pack, until Ctrl-C."""

import contextlib
import importlib.util
import tempfile
import time
from pathlib import Path

from .console import say
from .failures import ServerLost
from .run import stoppable
from .server import Server
from .starters import PACKAGE, write_templates

LOOK_SECONDS = 0.2


def serve(args, host: Path, base: Path) -> None:
    """The command. ``args``: port. ComfyUI's log is kept in ``base/betwixt-server.log``; it is shown from the moment
    the server is ready, so without what it says about parts that are left out here."""
    say(f"Starting ComfyUI from {host}; models, input and output are in {base}")
    log = base / "betwixt-server.log"
    previews = ["--preview-method", "auto"]
    with tempfile.TemporaryDirectory(prefix="betwixt-templates-") as scratch, stoppable():
        templates = None if importlib.util.find_spec(PACKAGE) else write_templates(Path(scratch))
        with Server(
            host, base, port=args.port, log=log, throwaway=False, arguments=previews, templates=templates
        ) as server:
            with open(log, encoding="utf-8", errors="replace") as text, contextlib.suppress(KeyboardInterrupt):
                text.read()
                say(f"Open {server.url} in a browser; the templates to begin with are the numbered ones.")
                say(f"Ctrl-C stops the server. What it says is also in {log}:")
                while server.alive:
                    print(text.read(), end="", flush=True)
                    time.sleep(LOOK_SECONDS)
                raise ServerLost(f"ComfyUI stopped by itself. The end of its log:\n{server.tail()}")
            say("Stopping the server ...")

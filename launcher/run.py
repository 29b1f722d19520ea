"""``betwixt.py run``: queue a graph, show its progress, fetch what it makes."""

import contextlib
import itertools
import re
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from .client import Client, Run
from .console import printable, say
from .events import Event
from .failures import ExecutionFailed, Failure, ServerLost, UsageMistake
from .graph import apply_settings, file_inputs, find_file, load_graph, title
from .output_files import PREVIEWS, output_files
from .server import Server

LINE_SECONDS = 5  # without a terminal a node's progress is printed at most so often


class Progress:
    """Prints one line per node, rewritten in place while it works if there is a terminal."""

    def __init__(self, graph: dict):
        self.graph, self.total = graph, len(graph)
        self.node = ""
        self.count, self.began, self.printed = 0, 0.0, 0.0
        self.live = sys.stdout.isatty()

    def __call__(self, event: Event) -> None:
        if event.kind == "cached" and event.data.get("nodes"):
            self.count = len(event.data["nodes"])
            say(f"  {self.count} of {self.total} nodes need not run again")
        elif event.kind == "node" and event.node != self.node:
            self.finish()
            self.node, self.began, self.printed = event.node, time.monotonic(), time.monotonic()
            self.count = min(self.count + 1, self.total)
            self._show("")
        elif event.kind == "progress" and event.node == self.node:
            self._show(f" {event.value:.0f}/{event.maximum:.0f}")

    def _show(self, steps: str) -> None:
        line = f"  [{self.count}/{self.total}] {title(self.graph, self.node)}{steps}"
        if self.live:
            print(f"\r{printable(line)}", end="\033[K", flush=True)
        elif steps and time.monotonic() - self.printed > LINE_SECONDS:
            self.printed = time.monotonic()
            say(line)

    def finish(self) -> None:
        """Close the line of the node that ran last."""
        if self.node:
            seconds = time.monotonic() - self.began
            line = f"  [{self.count}/{self.total}] {title(self.graph, self.node)}  {seconds:.1f} s"
            print(f"\r{printable(line)}\033[K" if self.live else printable(line), flush=True)
            self.node = ""


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Ctrl-C and a termination signal both raise ``KeyboardInterrupt``, even in a background job of a shell."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def server_address(url: str | None, host: Path | None, models: Sequence[Path] = ()) -> Iterator[str]:
    """The address of the running server ``url``, or of an embedded one that lives as long as the context."""
    if url is not None:
        yield url
        return
    if host is None:
        raise UsageMistake("A workflow needs a server: name a running one with --server, or a ComfyUI to start.")
    say(f"Starting ComfyUI from {host} ...")
    with Server(host, models=models) as server:
        say(f"ComfyUI is ready after {server.ready_seconds:.0f} s on the {'CPU' if server.cpu else 'accelerator'}")
        try:
            yield server.url
        except ServerLost as error:
            if not server.ended(within=2):
                raise
            raise ServerLost(f"{error}\nThe end of ComfyUI's log:\n{server.tail()}") from error


def send_files(
    client: Client, graph: dict, given: Sequence[Path], folders: Sequence[Path], schema, settings: Sequence[str] = ()
) -> None:
    """Upload every given file and every local file the graph refers to; the graph then uses the server's names.

    A graph may be a stranger's: what it names is looked for inside the folders only. A file that one of the
    ``settings`` of the command line names may lie anywhere.
    """
    sent = {path: client.upload(path) for path in given}
    chosen = {setting.partition("=")[2] for setting in settings}
    for item in list(file_inputs(graph, schema)):
        path = find_file(item.file, given, folders, anywhere=item.file in chosen)
        if path is not None:
            if path not in sent:
                sent[path] = client.upload(path)
            graph[item.node]["inputs"][item.input] = sent[path]
        elif item.certain and not item.offered:
            tried = ", ".join(str(folder) for folder in folders)
            raise UsageMistake(
                f"The input file '{item.file}' of node {item.node} ({title(graph, item.node)}) was not found in "
                f"{tried} or on the server. Name it with --input FILE, or choose another one with "
                f"--set {item.node}.{item.input}=FILE."
            )


def run_graph(client: Client, graph: dict, out: Path) -> tuple[Run, list[Path]]:
    """Run a graph with progress and fetch its files into ``out``, as :func:`follow_graph` says."""
    run = follow_graph(client, graph, out)
    return run, client.fetch_all(run.files, out)


def follow_graph(client: Client, graph: dict, out: Path) -> Run:
    """Run a graph with progress.

    When a node fails, the files of those that were finished are fetched into ``out`` before the failure is raised
    again.
    """
    progress = Progress(graph)
    try:
        run = client.run(graph, progress)
    except ExecutionFailed as failure:
        progress.finish()
        try:
            record = client.history(failure.prompt_id) or {}
            report(client.fetch_all(output_files(record.get("outputs") or {}), out))
        except Failure as another:  # what failed first counts
            say(f"What was finished before could not be fetched: {another}")
        raise
    except KeyboardInterrupt:
        progress.finish()
        say("The workflow was interrupted.")
        raise
    progress.finish()
    for node, output in run.outputs.items():
        texts = output.get("text")
        for text in texts if isinstance(texts, list) else ():
            say(f"  {title(graph, node)}: {text}")
    return run


def report(paths: Sequence[Path]) -> None:
    """Say what was written: each file of its own, but a batch of previews in one line."""
    for folder, group in itertools.groupby(paths, lambda path: path.parent):
        files = list(group)
        if folder.name == PREVIEWS and len(files) > 1:
            say(f"Wrote {len(files)} previews: {files[0]} ... {files[-1].name}")
        else:
            for path in files:
                say(f"Wrote {path}")


def read_headers(given: Sequence[str]) -> dict[str, str]:
    """Name -> value of ``NAME: VALUE`` texts. Raises ``UsageMistake`` for other texts, without repeating the value."""
    headers = {}
    for text in given:
        name, separator, value = text.partition(":")
        if not separator or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name.strip()) or "\n" in value:
            raise UsageMistake("--header: expected 'NAME: VALUE', for example --header 'Authorization: Bearer TOKEN'.")
        headers[name.strip()] = value.strip()
    return headers


def run(args, host: Path | None, base: Path | None) -> None:
    """The command. ``args``: workflow, set, input, server, header, out as declared in ``commands``.

    With a running server neither a host nor a base directory is needed.
    """
    headers = read_headers(args.header)
    models = [base / "models"] if base else []
    with (
        stoppable(),
        server_address(args.server, host, models) as url,
        Client(url, headers=headers) as client,
    ):
        schema = cache(lambda kind: client.object_info(kind).get(kind, {}))
        graph = apply_settings(load_graph(args.workflow), args.set, schema)
        send_files(client, graph, args.input, (Path.cwd(), args.workflow.resolve().parent), schema, args.set)
        done, paths = run_graph(client, graph, args.out)
        report(paths)
        say(f"Done in {done.seconds:.1f} s" + ("" if paths else "; the workflow wrote no files"))

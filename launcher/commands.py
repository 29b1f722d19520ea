"""The command line. First on any Python: check the arguments and prepare; then with the prepared Python: do it."""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from . import failures
from .console import say
from .farm import command as farm
from .folders import PACK, TIED
from .setup import Ready, prepare

INSIDE = "inside"  # first argument of the second stage, followed by the host's folder and the base directory


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="betwixt.py",
        description="Run ComfyUI-Betwixt with a real ComfyUI. What is missing is installed first, into this folder's "
        ".venv and a cache folder (BETWIXT_CACHE). COMFYUI_PATH names a ComfyUI installation to use instead.",
        epilog=failures.EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="demo | test | run | serve | doctor | farm")

    demo = commands.add_parser("demo", help="run the pack's graphs on pictures it draws, without any model file")
    demo.add_argument("--out", type=Path, default=Path("betwixt-demo"), help="folder for videos and the contact sheet")

    test = commands.add_parser("test", help="run all tests (installs the test requirements)")
    test.add_argument("--no-frontend", action="store_true", help="leave out the tests that need Chromium")
    test.add_argument("--long", action="store_true", help="as well the tests that take minutes each")

    run = commands.add_parser(
        "run",
        help="queue an API-format workflow and fetch what it makes",
        epilog=failures.EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run.add_argument("workflow", type=Path, metavar="WORKFLOW.json", help="workflow in API format")
    run.add_argument(
        "--set", action="append", default=[], metavar="NODE.INPUT=VALUE", help="change one input; repeatable"
    )
    run.add_argument(
        "--input", nargs="+", action="extend", default=[], type=Path, metavar="FILE", help="files to upload"
    )
    run.add_argument(
        "--server",
        metavar="URL",
        help="a running ComfyUI, which needs nothing installed here (default: an own one, ended afterwards); "
        "http://name:password@host is understood and never shown",
    )
    run.add_argument(
        "--header",
        action="append",
        default=[],
        metavar="'NAME: VALUE'",
        help="sent with every request to --server, e.g. 'Authorization: Bearer TOKEN'; repeatable",
    )
    run.add_argument("--out", type=Path, default=Path("betwixt-output"), metavar="DIR", help="folder for what is made")
    _add_base(run)

    serve = commands.add_parser("serve", help="start the user interface with the pack")
    serve.add_argument("--port", type=int, default=8188, help="port on 127.0.0.1 (default: 8188)")
    _add_base(serve)

    doctor = commands.add_parser("doctor", help="say what is installed, what is missing and which workflows are ready")
    doctor.add_argument("--workflow", type=Path, metavar="FILE", help="say what this workflow needs, either format")
    doctor.add_argument(
        "--host",
        type=Path,
        metavar="DIR",
        help="say whether this ComfyUI has every name the pack uses, from its sources alone; any version",
    )
    _add_base(doctor)
    farm.add_parser(commands)
    return top


def _add_base(command: argparse.ArgumentParser) -> None:
    text = "ComfyUI folder whose models (and, for serve, input, output and user folders) are used"
    command.add_argument("--base", type=Path, metavar="DIR", help=text)


def require_writable(folder: Path) -> None:
    """Try to write where ``--out`` is, or will be. Raises ``UsageMistake`` if that is not possible."""
    there = next(place for place in (folder.resolve(), *folder.resolve().parents) if place.exists())
    try:
        with tempfile.TemporaryFile(dir=there) as trial:
            trial.write(b"0")
    except OSError as error:
        reason = f"{there} is a file" if there.is_file() else f"{there}: {error.strerror or error}"
        raise failures.UsageMistake(
            f"--out {folder}: nothing can be written there ({reason}). Name another folder."
        ) from error


def check(args: argparse.Namespace) -> None:
    """Refuse what can be seen to be wrong before anything is installed or started."""
    if args.command == "run":
        from .graph import apply_settings, load_graph
        from .run import read_headers
        from .server_address import split_credentials

        read_headers(args.header)
        if args.server is not None:
            split_credentials(args.server)
        apply_settings(load_graph(args.workflow), args.set)
        for path in args.input:
            if not path.is_file():
                raise failures.UsageMistake(f"--input {path}: there is no such file.")
    elif args.command == "doctor" and args.host is not None:
        from .host_tree import tree_version

        if tree_version(args.host) is None:
            raise failures.UsageMistake(f"--host {args.host}: this is no ComfyUI folder with main.py and its version.")
    elif args.command == "doctor" and args.workflow is not None:
        from .doctor import needs_of

        needs_of(args.workflow)
    elif args.command == "farm":
        farm.check(args)
    elif args.command == "serve":
        from .server import require_free_port

        require_free_port(args.port)
    elif args.command == "test":
        if not (PACK / "tests").is_dir():
            raise failures.Failure(
                "This copy was installed from the registry and has no tests; they are in the git repository."
            )
        from .suite import check_complete

        check_complete(args)
    if getattr(args, "out", None) and args.command != "farm":
        require_writable(args.out)
    if getattr(args, "base", None) and not args.base.is_dir():
        raise failures.UsageMistake(f"--base {args.base}: there is no such folder.")


def perform(args: argparse.Namespace, host: Path, base: Path) -> int:
    """Run the command in the prepared Python; returns its exit code."""
    if args.command == "run":
        from .run import run

        run(args, host, base)
    elif args.command == "serve":
        from .serve import serve

        serve(args, host, base)
    elif args.command == "farm":
        return farm.perform(args, host, base)
    elif args.command == "demo":
        from .demo import demo

        demo(args, host)
    else:
        from .suite import test

        return test(args, host)
    return 0


def main(arguments: list[str]) -> int:
    """Exit code of ``betwixt.py`` with these arguments."""
    try:
        if arguments[:1] == [INSIDE]:
            host, base = Path(arguments[1]), Path(arguments[2])
            return perform(parser().parse_args(arguments[3:]), host, base)
        if not arguments:
            parser().print_help()
            return 0
        args = parser().parse_args(arguments)
        check(args)
        if args.command == "run" and args.server is not None:  # nothing runs here, so nothing is installed
            from .run import run

            run(args, None, None)
            return 0
        if args.command == "doctor":
            from .doctor import doctor

            return doctor(args)
        if args.command == "farm" and args.farm in farm.WITHOUT_HOST:
            return farm.perform(args, None, None)
        ready = prepare(tests=args.command == "test")
        return continue_inside(ready, getattr(args, "base", None) or ready.base, arguments)
    except failures.Failure as failure:
        say(f"\nbetwixt.py: {failure}")
        return failure.exit_code
    except OSError as error:  # a full or write-protected disk, wherever something is kept
        place = f"{error.filename}: " if error.filename else ""
        say(f"\nbetwixt.py: {place}{error.strerror or error}.")
        say(f"Temporary files go to {temporary_folder()}; TMPDIR can name another folder, --out one for the results.")
        return failures.Failure.exit_code
    except KeyboardInterrupt:
        say("\nbetwixt.py: stopped by Ctrl-C.")
        return failures.Interrupted.exit_code


def temporary_folder() -> str:
    """Where temporary files go, for messages."""
    try:
        return tempfile.gettempdir()
    except OSError:
        return "no folder: none can be written to"


def continue_inside(ready: Ready, base: Path, arguments: list[str]) -> int:
    """Go on as the prepared Python, in this very process where the platform allows it."""
    stage = [INSIDE, str(ready.host.path), str(base.resolve())]
    command = [ready.python, str(PACK / "betwixt.py"), *stage, *arguments]
    if os.name != "nt":
        sys.stdout.flush()
        os.execv(ready.python, command)
    # Tied, so that it ends with this process, and its server with it.
    process = subprocess.Popen([command[0], str(TIED), *command[1:]], stdin=subprocess.PIPE)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:  # the console sends it to the child as well, which ends in its own way
            continue

"""The arguments of ``betwixt.py farm`` and what each of its commands calls."""

import argparse
from pathlib import Path

from ..failures import EXIT_CODES, Failure, UsageMistake

WITHOUT_HOST = ("status", "export")  # need nothing but Python
NO_RAY = (
    "'farm run' needs Ray, the optional extra [farm], which is not installed for {python}. Install it with\n"
    '  "{python}" -m pip install "{pack}[farm]"\n'
    "or use another engine: 'farm export OUT --to commands' (or openjd) writes the same units for it."
)
ABOUT_RAY = (
    "The ComfyUI servers and Ray listen on 127.0.0.1 and nowhere else. With --address Ray listens where the one who "
    "started that cluster said. Ray has no authentication of its own but a token, if it was started with one: whoever "
    "reaches its ports can run any program on all its machines. Keep such a cluster in a network you trust."
)


def add_parser(commands) -> None:
    """Add ``farm`` and its commands."""
    form = {"formatter_class": argparse.RawDescriptionHelpFormatter, "epilog": EXIT_CODES}
    farm = commands.add_parser("farm", help="a workflow in parts, on many cards", **form)
    inner = farm.add_subparsers(dest="farm", required=True, metavar="plan | run | unit | status | join | export")

    plan = inner.add_parser("plan", help="split a workflow into units", **form)
    plan.add_argument("workflow", type=Path, metavar="WORKFLOW.json", help="workflow in API format")
    _add_out(plan, "folder for the plan, the parts and the result")
    plan.add_argument("--set", action="append", default=[], metavar="NODE.INPUT=VALUE", help="as in 'run'")
    plan.add_argument("--input", nargs="+", action="extend", default=[], type=Path, metavar="FILE", help="input files")
    plan.add_argument("--memory", type=_amount, default=0.0, metavar="GB", help="card memory that a unit needs")
    plan.add_argument("--replan", action="store_true", help="make a new plan; finished units that still hold are kept")
    _add_base(plan)

    run = inner.add_parser("run", help="make the units with Ray", description=ABOUT_RAY, **form)
    _add_out(run)
    where = run.add_mutually_exclusive_group()
    where.add_argument("--workers", type=_positive, metavar="N", help="local workers (default: one per card, else one)")
    where.add_argument("--address", metavar="ray://HOST:PORT", help="a running Ray cluster; every card is a worker")
    run.add_argument("--elsewhere", type=_count, default=2, metavar="N", help="tries after a lost worker (default: 2)")
    run.add_argument("--copy", action="store_true", help="workers do not see OUT: Ray moves files, not paths")
    _add_threads(run)
    _add_base(run)

    unit = inner.add_parser("unit", help="make one unit on this machine", **form)
    _add_out(unit)
    unit.add_argument("number", type=_positive, metavar="N", help="which one, from 1")
    _add_threads(unit)
    _add_base(unit)

    status = inner.add_parser("status", help="how far the work is; exit code 0 when all units are finished", **form)
    _add_out(status)
    status.add_argument("--verify", action="store_true", help="read every file, also those of known size and time")

    join = inner.add_parser("join", help="put the parts together: the workflow's own files, in OUT/output", **form)
    _add_out(join)
    _add_threads(join)
    _add_base(join)

    export = inner.add_parser("export", help="the units for another engine", **form)
    _add_out(export)
    export.add_argument("--to", required=True, choices=("openjd", "commands"), help="Open Job Description, or a list")
    export.add_argument("--file", type=Path, metavar="FILE", help="where to write; - prints it")


def _add_out(command, text: str = "folder of the plan") -> None:
    command.add_argument("out", type=Path, metavar="OUT", help=text)


def _add_threads(command) -> None:
    command.add_argument("--threads", type=_positive, metavar="N", help="threads of a server; equal ones, equal bytes")


def _add_base(command) -> None:
    command.add_argument("--base", type=Path, metavar="DIR", help="ComfyUI folder whose models are used")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is not 0 or more")
    return value


def _amount(text: str) -> float:
    from .plan import MOST_MEMORY

    value = float(text)
    if not 0 <= value < MOST_MEMORY:
        raise argparse.ArgumentTypeError(f"{text} is no number of gigabytes")
    return value


def check(args) -> None:
    """Refuse what can be seen to be wrong before anything is installed or started."""
    from .folder import Folder
    from .plan import check_inputs, read_plan

    if args.farm == "plan":
        from ..graph import apply_settings, load_graph

        apply_settings(load_graph(args.workflow), args.set)
        for path in args.input:
            if not path.is_file():
                raise UsageMistake(f"--input {path}: there is no such file.")
        return
    plan = read_plan(Folder(args.out), same_pack=args.farm != "status")
    if args.farm in ("run", "unit", "join"):
        check_inputs(plan, Folder(args.out))


def perform(args, host: Path | None, base: Path | None) -> int:
    """Run the command; those without a host get None."""
    if args.farm == "status":
        from .join import status

        return status(args)
    if args.farm == "export":
        from .export import export

        return export(args)
    if host is None or base is None:
        raise Failure("A farm's servers need a ComfyUI.")
    if args.farm == "plan":
        from .planning import plan as command
    elif args.farm == "unit":
        from .units import unit as command
    elif args.farm == "join":
        from .join import join as command
    else:
        from .run import run as command
    command(args, host, base)
    return 0

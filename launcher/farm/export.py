"""``farm export``: the units for engines that exist: a plain command list, or an Open Job Description bundle."""

import json
import shlex
import sys
from pathlib import Path

from ..console import say
from ..failures import UsageMistake
from ..folders import PACK
from .folder import Folder
from .plan import Plan, read_plan


def export(args) -> int:
    """The command. ``args``: out, to, file."""
    folder = Folder(args.out)
    plan = read_plan(folder)
    target = args.file or args.out / ("commands.txt" if args.to == "commands" else "template.json")
    if args.to == "commands":
        text = commands(plan, args.out)
    else:
        text = json.dumps(job_template(plan, args.out, target.parent.resolve()), indent=1) + "\n"
    if str(target) == "-":
        sys.stdout.write(text)
        return 0
    try:
        target.write_text(text, "utf-8")
    except OSError as error:
        raise UsageMistake(f"{target} cannot be written ({error.strerror}). Name another file with --file.") from error
    say(f"Wrote {target}")
    return 0


def stages(plan: Plan) -> list[list[int]]:
    """The numbers of the units by stage: a stage needs those before it and nothing of its own."""
    by_split: dict[int | None, list[int]] = {}
    for unit in plan.units:
        by_split.setdefault(unit.split, []).append(unit.number)
    return list(by_split.values())


def command(out: Path, *words: str) -> list[str]:
    return [sys.executable, str(PACK / "betwixt.py"), "farm", words[0], str(out.resolve()), *words[1:]]


def commands(plan: Plan, out: Path) -> str:
    """One command a line; the lines of a stage may run at once and on any machine that sees the folder."""
    lines = ["# Betwixt farm: each line is one job. Lines of a stage may run at the same time, stages in order."]
    for number, units in enumerate(stages(plan), 1):
        lines.append(f"# stage {number}: {len(units)} units")
        lines += [shlex.join(command(out, "unit", str(unit))) for unit in units]
    return "\n".join([*lines, "# at the end", shlex.join(command(out, "join")), ""])


def job_template(plan: Plan, out: Path, place: Path) -> dict:
    """An Open Job Description template (specification 2023-09): a step per stage, a task per unit, the join last.

    Args:
        place: the folder that the template will lie in; default paths are relative to it, so a bundle in ``out`` can be
            moved with it.
    """
    steps: list[dict] = []
    for number, units in enumerate(stages(plan), 1):
        steps.append(_step(f"Stage {number}", command(out, "unit", "{{Task.Param.Unit}}"), plan, steps))
        steps[-1]["parameterSpace"] = {"taskParameterDefinitions": [{"name": "Unit", "type": "INT", "range": units}]}
    steps.append(_step("Join", command(out, "join"), plan, steps))
    return {
        "specificationVersion": "jobtemplate-2023-09",
        "name": f"Betwixt {out.resolve().name}"[:64],
        "description": f"{len(plan.units)} units of a ComfyUI workflow and their join",
        "parameterDefinitions": [
            {"name": "Python", "type": "STRING", "default": sys.executable},
            {"name": "Betwixt", "type": "STRING", "default": str(PACK / "betwixt.py")},
            _out_parameter(out.resolve(), place),
        ],
        "steps": steps,
    }


def _out_parameter(out: Path, place: Path) -> dict:
    """A path may have a default below the template's folder only; elsewhere it is a text, which no engine maps."""
    if out.is_relative_to(place):
        default = out.relative_to(place).as_posix()
        return {"name": "Out", "type": "PATH", "default": default, "objectType": "DIRECTORY", "dataFlow": "NONE"}
    return {"name": "Out", "type": "STRING", "default": str(out)}


def _step(name: str, words: list[str], plan: Plan, before: list[dict]) -> dict:
    arguments = ["{{Param.Betwixt}}", words[2], words[3], "{{Param.Out}}", *words[5:]]
    step: dict = {
        "name": name,
        "script": {"actions": {"onRun": {"command": "{{Param.Python}}", "args": arguments}}},
    }
    if before:
        step["dependencies"] = [{"dependsOn": entry["name"]} for entry in before]
    if plan.memory and name != "Join":
        needed = {"name": "amount.worker.gpu.memory", "min": round(plan.memory * 1024)}
        step["hostRequirements"] = {"amounts": [{"name": "amount.worker.gpu", "min": 1}, needed]}
    return step

"""The tables of results, written anew after every row, so that a run that is cut short keeps what it has."""

import datetime
import json
import os
from pathlib import Path

LEFT_OUT = "left out"  # begins the state of a part for which there was no time

SPEED = {
    "job": "job",
    "memory": "host's memory",
    "seconds": "s",
    "seconds_per_step": "s per step",
    "tflop": "TFLOP",
    "limit_s": "limit, s",
    "times_limit": "times the limit",
    "gib_allocated": "GiB allocated",
    "gib_reserved": "GiB reserved",
    "note": "note",
}
CORRECTNESS = {
    "job": "network or loop",
    "precision": "precision",
    "value": "distance",
    "tolerated": "tolerated",
    "ok": "ok",
    "note": "note",
}
TITLES = {
    "correctness": "Golden cases on the card; the distance is ||result - golden|| / ||golden||, TF32 off; "
    "of whole cases the share of what is tolerated",
    "speed": "Random weights of full size; TFLOP, limit and its multiple are of a step where there is one. The limit "
    "is the counted arithmetic at 60 % of 800 TFLOP/s",
}


class Results:
    """``card.json`` as the benchmarks' stored tables are, and in ``parts`` what began, ended or failed."""

    def __init__(self, path: Path):
        self.path = path
        empty = {"script": "benchmarks.card", "tables": {}, "parts": {}}
        self.content = json.loads(path.read_text()) if path.exists() else empty

    def describe(self, command: str, machine: dict, versions: dict) -> None:
        """What both tables state about themselves."""
        about = {"command": command, "taken": datetime.date.today().isoformat(), "repeats": 1}
        for name, columns in (("correctness", CORRECTNESS), ("speed", SPEED)):
            table = self.content["tables"].setdefault(name, {"rows": []})
            table |= {"title": TITLES[name], "columns": list(columns.values()), **about}
            self.content["tables"][name] = {**table, "machine": machine, "versions": versions}
        self._write()

    def add(self, table: str, **values) -> None:
        """One row; the keys are those of :data:`SPEED` or :data:`CORRECTNESS`."""
        columns = {"speed": SPEED, "correctness": CORRECTNESS}[table]
        if unknown := set(values) - set(columns):
            raise KeyError(unknown)
        rounded = {key: float(f"{value:.4g}") if isinstance(value, float) else value for key, value in values.items()}
        self.content["tables"][table]["rows"].append([rounded.get(key) for key in columns])
        self._write()
        print(", ".join(f"{key} {value}" for key, value in rounded.items() if value is not None), flush=True)

    def state(self, part: str, memory: str, state: str, seconds: float | None = None) -> None:
        """``state``: "begun", "done", :data:`LEFT_OUT` and why, or what went wrong; ``seconds``: that the part took."""
        self.content["parts"][f"{part}, {memory}"] = state
        if seconds is not None:
            self.content.setdefault("seconds", {})[f"{part}, {memory}"] = round(seconds, 1)
        self._write()

    def state_of(self, part: str, memory: str) -> str | None:
        return self.content["parts"].get(f"{part}, {memory}")

    def failed(self) -> list[str]:
        """What did not come to its end, and the golden cases that are off."""
        parts = self.content["parts"].items()
        ended = [f"{part}: {state}" for part, state in parts if state != "done" and not state.startswith(LEFT_OUT)]
        rows = self.content["tables"].get("correctness", {}).get("rows", [])
        return ended + [f"{row[0]}, {row[1]}: {row[2]} > {row[3]}" for row in rows if not row[4]]

    def left_out(self) -> list[str]:
        """Parts for which there was no time."""
        return [f"{part}: {state}" for part, state in self.content["parts"].items() if state.startswith(LEFT_OUT)]

    def _write(self) -> None:
        beside = self.path.with_suffix(".tmp")
        beside.write_text(json.dumps(self.content, indent=1) + "\n")
        os.replace(beside, self.path)

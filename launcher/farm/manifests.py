"""The manifest of a finished unit: written last, believed only while the files that it names are there and match."""

import math
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from ...common.files.file_hash import sha256_of
from ..answers import Shape, has_shape
from .folder import Folder, is_inside, read_json
from .graphs import graph_hash
from .plan import Plan, Unit

NOT_MADE = "not made yet"
MOST_BYTES = 50_000_000
SHAPE: Shape = {
    "graph!": str,
    "seconds!": (int, float),
    "files!": {str: {"sha256!": str, "bytes!": int, "time": int}},
    **dict.fromkeys(("device", "torch"), str),
}
READERS = 8  # files that are read at the same time


def fault_of(plan: Plan, unit: Unit, folder: Folder, quick: bool = False) -> str | None:
    """Why a unit does not count as finished, or None if it does.

    Args:
        quick: believe that a file of the size and time in the manifest is the one that was written.
    """
    try:
        manifest = read_json(folder.manifest(unit.number), MOST_BYTES)
    except FileNotFoundError:
        return NOT_MADE
    except (OSError, ValueError) as error:
        return f"its manifest cannot be read ({error})"
    if not has_shape(manifest, SHAPE) or not _is_duration(manifest["seconds"]):
        return "its manifest is none that was written here"
    if manifest["graph"] != graph_hash(plan.graph_of(unit)):
        return "made from another graph"
    names, expected = set(manifest["files"]), plan.results_of(unit)
    place = whole_files(unit)
    if names != set(expected) if unit.split is not None else not all(_is_below(name, place) for name in names):
        return "its manifest names other files than its own"
    for name, file in manifest["files"].items():
        path = folder.path_of(name)
        try:
            if not path.is_file():
                return f"{name} is missing"
            state = path.stat()
            believed = quick and state.st_mtime_ns == file.get("time")
            if state.st_size != file["bytes"] or not (believed or sha256_of(str(path)) == file["sha256"]):
                return f"{name} is damaged"
        except OSError as error:
            return f"{name} cannot be read ({error.strerror or error})"
    return None


def whole_files(unit: Unit) -> str:
    """Where the files of a unit that is a whole workflow are, below the farm's folder."""
    return f"units/{unit.number:04d}/files/"


def _is_below(name: str, place: str) -> bool:
    return name.startswith(place) and is_inside(name)


def _is_duration(value: float) -> bool:
    return math.isfinite(value) and 0 <= value < 1e9 if isinstance(value, float) else 0 <= value < 10**9


def finished_units(plan: Plan, folder: Folder, quick: bool = False) -> tuple[list[Unit], dict[int, str]]:
    """(finished units, why the others are not).

    Args:
        quick: see :func:`fault_of`; otherwise every file is read and compared.
    """

    def fault(unit: Unit) -> str | None:
        return fault_of(plan, unit, folder, quick)

    with ThreadPoolExecutor(READERS) as pool:
        faults = list(pool.map(fault, plan.units))
    done = [unit for unit, found in zip(plan.units, faults, strict=True) if found is None]
    return done, {u.number: found for u, found in zip(plan.units, faults, strict=True) if found is not None}


def manifest_of(folder: Folder, unit: Unit) -> dict:
    """The manifest of a finished unit."""
    found = read_json(folder.manifest(unit.number), MOST_BYTES)
    assert isinstance(found, dict)  # it was finished
    return found


def differences(made: Iterable[Mapping]) -> list[str]:
    """What differs between the machines that units with these manifests come from, for people."""
    names = {"device": "devices", "torch": "versions of PyTorch", "threads": "numbers of threads"}
    found: dict[str, set[str]] = {key: set() for key in names}
    for manifest in made:
        for key, values in found.items():
            values.add(str(manifest.get(key)))
    return [
        f"The units come from different {names[key]} ({', '.join(sorted(values))}): they agree within rounding, not to "
        "the byte."
        for key, values in found.items()
        if len(values) > 1
    ]

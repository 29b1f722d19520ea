"""Which unit a free worker makes next: what is ready, fits the worker, and is longest. Knows nothing of any engine."""

import bisect
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..failures import Failure
from .plan import Plan, Unit


@dataclass(frozen=True)
class Offer:
    """What a worker is: its name, the model files it has, its card's memory in GB (0 on the CPU)."""

    name: str
    models: frozenset[str]
    memory: float
    device: str = ""


@dataclass
class Dispatch:
    """The state of a run. What it does per unit does not grow with their number.

    Args:
        elsewhere: how many further tries a unit gets after its worker was lost.
        finished: numbers of the units that need not be made.
    """

    plan: Plan
    elsewhere: int
    finished: set[int] = field(default_factory=set)

    def __post_init__(self):
        self.working: dict[str, Unit] = {}
        self._lost: dict[int, list[str]] = {}
        self._large: dict[int, float] = {}  # units that ran out of memory -> that of the card they go to
        self._stages: dict[int | None, _Stage] = {}
        for unit in self.plan.units:
            if unit.split not in self._stages:  # the units of a split differ in their part alone
                self._stages[unit.split] = _Stage(frozenset(self.plan.models_of(unit)), set(unit.needs) - self.finished)
            if unit.number not in self.finished:
                self._stages[unit.split].add(unit)

    @property
    def open(self) -> list[Unit]:
        """The units that nobody makes yet, the longest of a stage first."""
        return [unit for stage in self._stages.values() for unit in stage.open]

    @property
    def over(self) -> bool:
        return not self.working and not any(stage.open for stage in self._stages.values())

    def frames(self) -> float:
        """Frames that are left; of units that are being made the half, on average."""
        return sum(stage.frames for stage in self._stages.values()) + sum(u.size for u in self.working.values()) / 2

    def fits(self, unit: Unit, offer: Offer) -> bool:
        """Whether a worker has the model files and the memory for a unit."""
        return self._stages[unit.split].models <= offer.models and offer.memory >= self._needed(unit)

    def _needed(self, unit: Unit) -> float:
        return max(self.plan.memory, self._large.get(unit.number, 0.0))

    def take(self, offer: Offer, others: Sequence[Offer] = ()) -> Unit | None:
        """The unit this worker makes next, or None if there is none now.

        Args:
            others: the other workers; one that lost a unit gets it again only if it is alone.
        """

        def may(unit: Unit) -> bool:
            again = offer.name in self._lost.get(unit.number, ())
            return self.fits(unit, offer) and not (again and any(self.fits(unit, other) for other in others))

        found = [next(filter(may, stage.open), None) for stage in self._stages.values() if not stage.waits_for]
        ready = [unit for unit in found if unit is not None]
        if not ready:
            return None
        unit = min(ready, key=_longest_first)
        self._stages[unit.split].remove(unit)
        self.working[offer.name] = unit
        return unit

    def done(self, worker: str) -> Unit:
        unit = self.working.pop(worker)
        self.finished.add(unit.number)
        for stage in self._stages.values():
            stage.waits_for.discard(unit.number)
        return unit

    def lost(self, worker: str, reason: str) -> None:
        """The worker or its server is gone: its unit is tried elsewhere.

        Raises:
            Failure: it was tried often enough.
        """
        unit = self.working.pop(worker, None)
        if unit is None:
            return
        tried = self._lost.setdefault(unit.number, [])
        tried.append(worker)
        if len(tried) > self.elsewhere:
            raise Failure(
                f"Unit {unit.number} ({unit.title}) lost its worker {len(tried)} times, the last time so: {reason}\n"
                "What is finished is kept; 'farm run' goes on with the rest."
            )
        self._stages[unit.split].add(unit)

    def out_of_memory(self, offer: Offer, reason: str, others: Sequence[Offer]) -> None:
        """A card was too small: the unit is tried once more, on the largest one.

        Raises:
            Failure: there is no larger one, or it was too small as well.
        """
        unit = self.working.pop(offer.name)
        again = unit.number in self._large
        self._large[unit.number] = max((o.memory for o in others if self.fits(unit, o)), default=0.0)
        self._stages[unit.split].add(unit)
        if again or self._large[unit.number] <= offer.memory:
            raise Failure(f"Unit {unit.number} ({unit.title}) ran out of memory on {offer.device}: {reason}")

    def require_workable(self, offers: Sequence[Offer]) -> None:
        """Raises:
        Failure: a unit that no worker can make, with what is missing where.
        """
        for stage in self._stages.values():
            special = [unit for unit in stage.open if unit.number in self._large] if self._large else []
            for unit in [*stage.open[:1], *special]:  # the others are like the first
                if not any(self.fits(unit, offer) for offer in offers):
                    raise Failure(self._lack(unit, offers))

    def _lack(self, unit: Unit, offers: Sequence[Offer]) -> str:
        """What a unit that no worker can make would need."""
        lacking = {name for name in self._stages[unit.split].models if not any(name in o.models for o in offers)}
        if lacking:
            return (
                f"No worker has {', '.join(sorted(lacking))}, which unit {unit.number} ({unit.title}) needs. Put it "
                "into the model folder of at least one worker; 'betwixt.py doctor' says where it goes and where it is "
                "from."
            )
        largest = max((offer.memory for offer in offers), default=0.0)
        return (
            f"Unit {unit.number} ({unit.title}) needs {self._needed(unit):g} GB of card memory and its model files on "
            f"one worker; the largest worker has {largest:.1f} GB."
        )


def _longest_first(unit: Unit) -> tuple[int, int]:
    return -unit.size, unit.number


class _Stage:
    """The open units of one split, the longest first.

    Args:
        models: the model files that each of them needs.
        waits_for: numbers of the unfinished units that all of them read.
    """

    def __init__(self, models: frozenset[str], waits_for: set[int]):
        self.models, self.waits_for = models, waits_for
        self.open: list[Unit] = []
        self.frames = 0

    def add(self, unit: Unit) -> None:
        bisect.insort(self.open, unit, key=_longest_first)
        self.frames += unit.size

    def remove(self, unit: Unit) -> None:
        self.open.remove(unit)
        self.frames -= unit.size

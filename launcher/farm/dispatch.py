"""Which unit a free worker makes next: what is ready, fits the worker, and is longest. Knows nothing of any engine."""

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
    """The state of a run.

    Args:
        elsewhere: how many further tries a unit gets after its worker was lost.
        finished: numbers of the units that need not be made.
    """

    plan: Plan
    elsewhere: int
    finished: set[int] = field(default_factory=set)

    def __post_init__(self):
        self.open = {unit.number: unit for unit in self.plan.units if unit.number not in self.finished}
        self.working: dict[str, Unit] = {}
        self._lost: dict[int, list[str]] = {}
        self._too_small: dict[int, float] = {}
        self._models = {number: frozenset(self.plan.models_of(unit)) for number, unit in self.open.items()}

    def fits(self, unit: Unit, offer: Offer) -> bool:
        """Whether a worker has the model files and the memory for a unit."""
        needed = max(self.plan.memory, self._too_small.get(unit.number, 0.0))
        larger = offer.memory > needed if unit.number in self._too_small else offer.memory >= needed
        return self._models[unit.number] <= offer.models and larger

    def take(self, offer: Offer, others: Sequence[Offer] = ()) -> Unit | None:
        """The unit this worker makes next, or None if there is none now.

        Args:
            others: the other workers; one that lost a unit gets it again only if it is alone.
        """
        ready = [
            unit
            for unit in self.open.values()
            if self.finished.issuperset(unit.needs)
            and self.fits(unit, offer)
            and (offer.name not in self._lost.get(unit.number, ()) or not any(self.fits(unit, o) for o in others))
        ]
        if not ready:
            return None
        unit = max(ready, key=lambda unit: (unit.size, -unit.number))
        del self.open[unit.number]
        self.working[offer.name] = unit
        return unit

    def done(self, worker: str) -> Unit:
        unit = self.working.pop(worker)
        self.finished.add(unit.number)
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
        self.open[unit.number] = unit

    def out_of_memory(self, offer: Offer, reason: str, others: Sequence[Offer]) -> None:
        """A card was too small: the unit is tried once on a larger one.

        Raises:
            Failure: there is none, or it was too small as well.
        """
        unit = self.working.pop(offer.name)
        again = unit.number in self._too_small
        self._too_small[unit.number] = max(offer.memory, self._too_small.get(unit.number, 0.0))
        self.open[unit.number] = unit
        if again or not any(self.fits(unit, other) for other in others):
            raise Failure(f"Unit {unit.number} ({unit.title}) ran out of memory on {offer.device}: {reason}")

    def require_workable(self, offers: Sequence[Offer]) -> None:
        """Raises:
        Failure: a unit that no worker can make, with what is missing where.
        """
        for unit in self.open.values():
            if any(self.fits(unit, offer) for offer in offers):
                continue
            lacking = {name for name in self._models[unit.number] if not any(name in o.models for o in offers)}
            if lacking:
                raise Failure(
                    f"No worker has {', '.join(sorted(lacking))}, which unit {unit.number} ({unit.title}) needs. "
                    "Put it into the model folder of at least one worker; 'betwixt.py doctor' says where it goes and "
                    "where it is from."
                )
            largest = max((offer.memory for offer in offers), default=0.0)
            needed = max(self.plan.memory, self._too_small.get(unit.number, 0.0))
            raise Failure(
                f"Unit {unit.number} ({unit.title}) needs {needed:g} GB of card memory and its model files on "
                f"one worker; the largest worker has {largest:.1f} GB."
            )

"""``farm run``: the units on Ray. Ray places the workers, moves what must be moved and notices what is lost."""

import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..console import say
from ..failures import Failure
from ..run import stoppable
from .cluster import cluster, first_line, last_line, require_ray
from .dispatch import Dispatch, Offer
from .folder import PLAN, Folder, appearing
from .manifests import NOT_MADE, differences, fault_of, finished_units, manifest_of
from .plan import Plan, Unit, changed_originals, check_inputs, read_plan
from .worker import Worker

SERVERS = "betwixt.launcher.farm.worker:ServerEngine"
TELL_SECONDS = 10
MOST_LOST = 20  # workers that may be replaced in one run
MOST_STILLBORN = 3  # one after the other that are lost before they are ready


@dataclass
class _Hand:
    """A worker as the driver sees it: its actor, what it offers once it is ready."""

    name: str
    actor: Any  # Ray's handle
    offer: Offer | None = None
    copies: bool = False


class Driver:
    """Runs the open units of a plan on a cluster.

    Args:
        count: workers; copy: send files through Ray even where workers see the folder.
        engine, options: see :class:`.worker.Worker`.
    """

    def __init__(
        self, ray, folder: Folder, plan: Plan, count: int, elsewhere: int, copy: bool, options: Mapping, engine
    ):
        self.ray, self.folder, self.plan, self.engine, self.options = ray, folder, plan, engine, options
        done, faults = finished_units(plan, folder)
        for number, fault in faults.items():
            if fault != NOT_MADE:
                say(f"  unit {number} is made again: {fault}")
        self.dispatch = Dispatch(plan, elsewhere, {unit.number for unit in done})
        self.copy, self.kept, self.made = copy, len(done), 0
        self.hands: dict[str, _Hand] = {}
        self.calls: dict = {}  # what was asked of a worker -> (worker, "about" or "make")
        self.count, self.started, self.lost, self.stillborn = count, 0, 0, 0
        self.began, self.frames = time.monotonic(), 0
        self.first_at = self.finished_at = self.began  # when the first worker was ready, when the last unit was made
        self._package: Any = None
        self._plan_text = folder.plan.read_text("utf-8")

    def run(self) -> None:
        """Until every unit is finished. Raises ``Failure`` when one cannot be; what is finished stays."""
        try:
            for _ in range(min(self.count, max(1, len(self.dispatch.open)))):
                self._hire()
            told = time.monotonic()
            while not self.dispatch.over:
                self._give()
                if not self.calls:
                    raise Failure("No worker can take what is left; see 'farm status'.")
                ready, _ = self.ray.wait(list(self.calls), num_returns=1, timeout=TELL_SECONDS)
                for call in ready:
                    self._take(call)
                if time.monotonic() - told > TELL_SECONDS:
                    told = time.monotonic()
                    self._tell()
        finally:
            self._dismiss()

    def _hire(self) -> None:
        self.started += 1
        name = f"worker {self.started}"
        cards = self.ray.cluster_resources().get("GPU", 0) > 0
        needs = {"num_gpus": 1 if cards else 0, "num_cpus": 1, "max_concurrency": 2, "max_restarts": 0}
        maker = self.ray.remote(Worker).options(**needs)
        out, options = str(self.folder.out.resolve()), dict(self.options)
        actor = maker.remote(self.engine, out, options, self._plan_text, self.copy)
        self.hands[name] = _Hand(name, actor)
        self.calls[actor.about.remote()] = (name, "about")

    def _packed(self):
        """What a worker on copies needs, in Ray's store: the plan and the inputs."""
        if self._package is None:
            names = [PLAN, *(f"input/{name}" for name in self.plan.inputs)]
            self._package = self.ray.put({name: self.folder.path_of(name).read_bytes() for name in names})
        return self._package

    def _give(self) -> None:
        """Work for every worker that has none."""
        offers = [hand.offer for hand in self.hands.values() if hand.offer]
        if offers and len(offers) == len(self.hands):
            self.dispatch.require_workable(offers)
        for hand in list(self.hands.values()):
            if hand.offer is None or hand.name in self.dispatch.working:
                continue
            unit = self.dispatch.take(hand.offer, [offer for offer in offers if offer is not hand.offer])
            if unit is not None:
                self.calls[hand.actor.make.remote(unit.number, self._results(hand, unit.needs))] = (hand.name, "make")

    def _results(self, hand: _Hand, numbers: tuple[int, ...]) -> dict[str, bytes]:
        """The results of units, for a worker that does not see the folder."""
        if not hand.copies:
            return {}
        names = [name for number in numbers for name in self.plan.results_of(self.plan.units[number - 1])]
        return {name: self.folder.path_of(name).read_bytes() for name in names}

    def _take(self, call) -> None:
        name, what = self.calls.pop(call)
        hand = self.hands[name]
        try:
            answer = self.ray.get(call)
        except self.ray.exceptions.RayActorError as error:
            say(f"  {name} was lost ({first_line(error)})")
            self._replace(hand, first_line(error))
            return
        except self.ray.exceptions.RayError as error:
            raise Failure(f"{name} failed: {last_line(error)}\nWhat is finished is kept.") from error
        if "fault" in answer:
            del self.hands[name]
            self.ray.kill(hand.actor)
            if not self.hands:
                raise Failure(f"{name} could not start: {answer['fault']}")
            say(f"  {name} could not start, the others go on: {answer['fault']}")
            return
        if "wants" in answer:
            hand.copies = True
            self.calls[hand.actor.about.remote(self._packed())] = (name, "about")
            return
        if what == "about":
            if not any(other.offer for other in self.hands.values()):
                self.first_at = time.monotonic()
            hand.offer = Offer(name, frozenset(answer["models"]), answer["memory"], answer["device"])
            say(f"  {name} is ready: {hand.offer.device}")
            return
        unit = self.dispatch.working[name]
        match answer["kind"]:
            case "done":
                self._keep(answer)
                self._done(name, unit, answer["manifest"]["seconds"])
            case "lost":
                say(f"  {name} lost its server while it made unit {unit.number}")
                self._replace(hand, answer["text"])
            case "memory" if hand.offer is not None:
                others = [h.offer for h in self.hands.values() if h.offer and h is not hand]
                self.dispatch.out_of_memory(hand.offer, answer["text"], others)
                say(f"  unit {unit.number} ran out of memory on {hand.offer.device}; once more on a larger card")
            case _:
                failure = Failure(f"Unit {unit.number} ({unit.title}): {answer['text']}\nWhat is finished is kept.")
                failure.exit_code = answer["code"]  # that of what failed
                raise failure

    def _keep(self, answer: dict) -> None:
        """Write what came through Ray, the manifest last."""
        for name, contents in answer["files"].items():
            with appearing(self.folder.path_of(name)) as file:
                file.write(contents)

    def _replace(self, hand: _Hand, reason: str) -> None:
        del self.hands[hand.name]
        self.ray.kill(hand.actor)
        unit = self.dispatch.working.get(hand.name)
        if unit is not None and fault_of(self.plan, unit, self.folder) is None:  # it was lost on its way to say so
            self._done(hand.name, unit, manifest_of(self.folder, unit)["seconds"])
        self.dispatch.lost(hand.name, reason)
        self.lost += 1
        self.stillborn = 0 if hand.offer else self.stillborn + 1
        if self.lost > MOST_LOST or self.stillborn > MOST_STILLBORN:
            raise Failure(
                f"{self.lost} workers were lost, the last one so: {reason}\n"
                f"What is finished is kept; the logs are in {self.folder.logs}."
            )
        self._hire()

    def _done(self, name: str, unit: Unit, seconds: float) -> None:
        self.dispatch.done(name)
        self.made, self.finished_at = self.made + 1, time.monotonic()
        self._report(name, unit, seconds)

    def _report(self, name: str, unit: Unit, seconds: float) -> None:
        self.frames += unit.size
        end = time.time() + (time.monotonic() - self.began) / max(1, self.frames) * self.dispatch.frames()
        done, total = len(self.dispatch.finished), len(self.plan.units)
        clock = time.strftime("%H:%M:%S", time.localtime(end))
        say(f"  [{done}/{total}] unit {unit.number} ({unit.title}): {seconds:.1f} s on {name}; end about {clock}")

    def _tell(self) -> None:
        """The progress inside the units that are being made."""
        asked = {name: self.hands[name].actor.progress.remote() for name in self.dispatch.working if name in self.hands}
        ready, _ = self.ray.wait(list(asked.values()), num_returns=len(asked), timeout=2) if asked else ([], [])
        for name, call in asked.items():
            if call in ready:
                try:
                    text = self.ray.get(call)
                except self.ray.exceptions.RayError:
                    continue  # the loss is noticed where its unit is waited for
                if text:
                    say(f"    unit {self.dispatch.working[name].number} on {name}: {text}")

    def _dismiss(self) -> None:
        """Close the workers' servers, then end the workers."""
        closing = [hand.actor.close.remote() for hand in self.hands.values()]
        if closing:
            self.ray.wait(closing, num_returns=len(closing), timeout=15)
        for hand in self.hands.values():
            self.ray.kill(hand.actor)


def run(args, host: Path, base: Path) -> None:
    """The command. ``args``: out, workers, address, elsewhere, copy, threads."""
    folder = Folder(args.out)
    plan = read_plan(folder)
    folder.make()
    require_ray(own=args.address is None)
    with folder.locked("run"), stoppable():
        folder.remove_leftovers()
        check_inputs(plan, folder)
        for path in changed_originals(plan):
            say(f"  {path} was changed since the plan was made; the copy in {folder.input} is used")
        began = time.monotonic()
        with cluster(args.address, args.workers) as (ray, count):
            threads = args.threads
            if threads is None and not ray.cluster_resources().get("GPU"):
                threads = max(1, (os.cpu_count() or 1) // count)
            options = {"threads": threads}
            if args.address is None:
                options |= {"host": str(host), "base": str(base), "python": sys.executable}
            driver = Driver(ray, folder, plan, count, args.elsewhere, args.copy, options, SERVERS)
            say(f"{len(driver.dispatch.open)} of {len(plan.units)} units are to be made, {driver.kept} are finished")
            if driver.dispatch.open:
                try:
                    driver.run()
                except ray.exceptions.RayError as error:
                    raise Failure(f"Ray failed: {last_line(error)}\nWhat is finished is kept.") from error
        for text in differences(manifest_of(folder, unit) for unit in plan.units):
            say(text)
        say(f"Made {driver.made} units in {time.monotonic() - began:.0f} s. Go on with: farm join {args.out}")

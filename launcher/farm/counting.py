"""How many parts each split of a workflow has: asked of a server, which loads the pictures and nothing else."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ..failures import ServerLost, UsageMistake
from .graphs import Link, link_of, pruned
from .splits import INBETWEEN, PAIRS, PLACE, RERENDER, Split

LONGEST = 10_000  # frames of a clip in which cuts can be asked for
Answers = dict[str, str]


@dataclass(frozen=True)
class Counted:
    """A split with the size of each of its parts, in frames that are made; the longest are worked on first."""

    split: Split
    sizes: tuple[int, ...]


class _Questions:
    """Outputs whose values are wanted as text."""

    def __init__(self, graph: dict):
        self.graph = dict(graph)
        self.asked: dict[str, str] = {}

    def text(self, name: str, value: object) -> str | None:
        """Ask for the value of an input under a name; what is no link is the answer itself."""
        link = link_of(self.graph, value)
        if link is None:
            return str(value)
        self._ask(name, link)
        return None

    def frames(self, name: str, link: Link | None) -> None:
        """Ask for the number of frames of an IMAGE output."""
        if link is not None:
            self.graph[f"{name}.size"] = {"class_type": "GetImageSize", "inputs": {"image": list(link)}}
            self._ask(name, (f"{name}.size", 2))

    def cuts(self, name: str, link: Link) -> None:
        """Ask for the frames at which scenes begin."""
        inputs = {"frames": list(link), "by": "scene cuts", "by.threshold": 0.5, "by.longest": LONGEST}
        self.graph[f"{name}.cuts"] = {
            "class_type": "BetwixtSelectKeyFrames",
            "inputs": {**inputs, "include_last": False},
        }
        self._ask(name, (f"{name}.cuts", 1))

    def _ask(self, name: str, link: Link) -> None:
        self.graph[f"{name}.ask"] = {"class_type": "PreviewAny", "inputs": {"source": list(link)}}
        self.asked[name] = f"{name}.ask"

    def answers(self, run: Callable[[dict], dict]) -> Answers:
        if not self.asked:
            return {}
        outputs = run(pruned(self.graph, self.asked.values()))
        found = {}
        for name, node in self.asked.items():
            texts = outputs.get(node, {}).get("text")
            if not isinstance(texts, list) or not texts:
                raise ServerLost(f"The server did not say how large the parts are ({name}).")
            found[name] = str(texts[0])
        return found


def count_parts(graph: dict, splits: Sequence[Split], run: Callable[[dict], dict]) -> tuple[list[Counted], list[str]]:
    """The splits with their parts, and for people why others are left whole.

    Args:
        run: queues a graph and returns its outputs: node id -> what it shows.
    """
    counted: list[Counted] = []
    reasons: list[str] = []
    for split in splits:
        entry = graph[split.node]
        kind, inputs = entry["class_type"], entry["inputs"]
        questions = _Questions(graph)
        found: tuple[str, list[int]] | str
        if kind in (PAIRS, INBETWEEN):
            found = _gaps(questions, kind, inputs, run)
        elif kind == RERENDER:
            found = _shots(questions, inputs, run, split)
        else:
            found = _intervals(questions, graph, inputs, run)
        if isinstance(found, str):
            reasons.append(f"node {split.node}: {found}")
        else:
            numbers, sizes = found
            counted.append(Counted(replace(split, numbers=numbers), tuple(sizes)))
    return counted, reasons


def _numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"[0-9]+", text) if len(number) < 10]


def _count(text: str) -> int:
    """A number of frames that the server told.

    Raises:
        ServerLost: it is none, or one that no workflow has.
    """
    if not re.fullmatch(r"[0-9]{1,7}", text.strip()):
        raise ServerLost(f"The server says that a clip has '{text[:40]}' frames.")
    return int(text)


def _true(text: str) -> bool:
    return text.strip().lower() == "true"


def _gaps(questions: _Questions, kind: str, inputs: dict, run) -> tuple[str, list[int]]:
    keys = "key_frames" if kind == PAIRS else "start_image"
    known = {name: questions.text(name, inputs.get(name, "")) for name in ("loop", "frame_count", "frames_per_gap")}
    questions.frames("keys", link_of(questions.graph, inputs.get(keys)))
    answers = questions.answers(run)
    told = {name: answers.get(name, value) or "" for name, value in known.items()}
    count = _count(answers.get("keys", "0")) + (kind == INBETWEEN)
    count -= not _true(told["loop"])
    lengths = _numbers(told["frames_per_gap"]) or _numbers(told["frame_count"]) or [1]
    if count < 1:
        raise UsageMistake("The workflow has one key frame, and between key frames are at least two needed.")
    return "", lengths if len(lengths) == count else [lengths[0]] * count


def key_numbers(questions: _Questions, inputs: dict, run) -> list[int]:
    """The frame numbers of the key frames that go into 'Rerender Key Frames'."""
    known = questions.text("numbers", inputs["key_numbers"]) if inputs.get("key_numbers") else None
    questions.frames("keys", link_of(questions.graph, inputs.get("key_frames")))
    answers = questions.answers(run)
    text = answers.get("numbers", known)
    return list(range(_count(answers.get("keys", "0")))) if text is None else _numbers(text)


def _shots(questions: _Questions, inputs: dict, run, split: Split) -> tuple[str, list[int]] | str:
    anchor = questions.text("anchor", inputs.get("anchor.numbers", ""))
    numbers = key_numbers(questions, inputs, run)
    if not numbers:
        return "it has no key frames"
    begins = {numbers[0]}
    if inputs.get("anchor") == "first of each shot":
        if anchor is None:
            again = _Questions(questions.graph)
            again.text("anchor", inputs["anchor.numbers"])
            anchor = again.answers(run)["anchor"]
        begins |= set(_numbers(anchor))
    if inputs.get("first_frame_only") is True:
        if len(begins) > 1:
            return "with 'first_frame_only' there is one frame to make"
        numbers = numbers[:1]
    starts = [place for place, number in enumerate(numbers) if number in begins]
    sizes = [end - begin for begin, end in zip(starts, [*starts[1:], len(numbers)], strict=True)]
    return ", ".join(map(str, numbers)), sizes


def _intervals(questions: _Questions, graph: dict, inputs: dict, run) -> tuple[str, list[int]] | str:
    frames, source = (link_of(graph, inputs.get(name)) for name in ("frames", "keys"))
    if frames is None or source is None:
        return "its clip or its key frames are not connected"
    maker = graph[source[0]]
    known = None
    if maker["class_type"] == PLACE:
        known = questions.text("numbers", maker["inputs"].get("numbers", ""))
    elif maker["class_type"] != RERENDER:
        return f"its key frames come from '{maker['class_type']}', whose frame numbers are not known before"
    questions.frames("frames", frames)
    if inputs.get("scene_cuts", "find") == "find":
        questions.cuts("cuts", frames)
    answers = questions.answers(run)
    if maker["class_type"] == PLACE:
        numbers = sorted(_numbers(answers.get("numbers", known) or ""))
    else:
        numbers = key_numbers(_Questions(graph), maker["inputs"], run)
        numbers = numbers[:1] if maker["inputs"].get("first_frame_only") is True else numbers
    count, cuts = _count(answers["frames"]), _numbers(answers.get("cuts", ""))
    if count > LONGEST:
        return f"its clip has more than {LONGEST} frames"
    sizes = interval_sizes(count, numbers, cuts)
    return ("", sizes) if sizes else "all its frames are key frames"


def interval_sizes(count: int, keys: Sequence[int], cuts: Sequence[int]) -> list[int]:
    """Frames to paint in each interval of a clip of ``count`` frames, those from two sides counted twice; in the order
    and number in which the EbSynth nodes count intervals (rerender_core/ebsynth/plan.py)."""
    sizes = []
    scenes = [0, *(cut for cut in cuts if 0 < cut < count), count]
    for begin, end in zip(scenes, scenes[1:], strict=False):
        inside = [key for key in keys if begin <= key < end]
        edges = [begin - 1, *inside, end]
        for place, (left, right) in enumerate(zip(edges, edges[1:], strict=False)):
            sides = 2 if 0 < place < len(edges) - 2 else 1
            if right - left > 1:
                sizes.append((right - left - 1) * sides)
    return sizes

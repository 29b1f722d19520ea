"""Guided patch synthesis: a frame in the style of a painted key frame
(docs/methods/ebsynth.md, Overview; Hybrid schedule)."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ....common.compiled_kernels import compile_ahead, numba_available
from ....common.errors import BetwixtError
from ....common.helpers import Helpers
from ....common.progress import Progress, silent
from .engines import masked_engine, numba_engine, torch_engine
from .patch_error import patch_error
from .problem import SynthesisOptions, SynthesisProblem, all_style_weights, check
from .pyramid import clamped, level_count, level_size, resample, resample_mask, upscale_nnf
from .search_level import Engine, Level, Search, Solution, usable_centres

EngineName = Literal["auto", "numba", "torch", "triton"]


def synthesise(
    problem: SynthesisProblem,
    options: SynthesisOptions | None = None,
    engine: EngineName = "auto",
    progress: Progress = silent,
) -> Solution:
    """Paint the target frames.

    Args:
        problem: inputs; none is modified.
        options: settings.
        engine: "torch" runs anywhere, "numba" on the CPU if numba is installed (two to three times as fast there),
            "triton" on CUDA cards if Triton is installed and finds a C compiler; "auto" takes the quickest one for the
            problem's device. Results are equal in quality, not in bits.
        progress: told after each vote; may raise to cancel.

    Returns:
        Tensors on the problem's device.

    Raises:
        BetwixtError: sizes that do not match or are too small for the patch, weights that make no sense, a source
            mask without room for a patch.
        ImportError: ``engine="numba"`` and numba is not installed; "triton" and the device is no CUDA card.
    """
    options = options or SynthesisOptions()
    check(problem, options)
    with torch.no_grad(), Helpers(problem.style.device):
        return _coarse_to_fine(problem, options, _engine(engine, problem.style.device), progress)


def _engine(name: EngineName, device: torch.device) -> Engine:
    if name in ("auto", "triton") and device.type == "cuda":
        from .engines import triton_engine  # Triton takes a moment to import

        if name == "triton" or triton_engine.available(device):
            return triton_engine.solve
    if name == "triton":
        raise ImportError(f"The engine 'triton' computes on CUDA cards only; the problem is on {device}.")
    if name == "numba" or (name == "auto" and device.type == "cpu" and numba_available()):
        return numba_engine.solve
    return torch_engine.solve if device.type == "cpu" else masked_engine.solve


def prepare(name: EngineName, device: torch.device | str) -> None:
    """Have the engine that :func:`synthesise` will use compiled beside what comes first, such as estimating flow."""
    if torch.device(device).type == "cpu" and name in ("auto", "numba"):
        compile_ahead(compile_numba_engine)


def compile_numba_engine() -> None:
    """The smallest synthesis that calls every kernel."""
    picture = torch.zeros(1, 12, 12, 3, dtype=torch.uint8)
    problem = SynthesisProblem(picture, picture, picture, torch.ones(3))
    synthesise(problem, SynthesisOptions(vote_iterations=1, match_iterations=1), "numba")


def _coarse_to_fine(
    problem: SynthesisProblem, options: SynthesisOptions, solve: Engine, progress: Progress
) -> Solution:
    patch = options.patch
    masks, levels = _levels(problem, options)
    generator = torch.Generator().manual_seed(options.seed)
    searches = [_search(options, level, len(levels)) for level in range(len(levels))]
    work = [search.vote_iterations * mask[0].numel() for search, mask in zip(searches, masks, strict=True)]
    work.append(work[-1] if options.extra_pass else 0)
    done = 0.0

    solution: Solution | None = None
    last = levels[-1] if options.extra_pass else None
    levels.reverse()
    for number, (mask, search) in enumerate(zip(masks, searches, strict=True)):
        told = problem if len(levels) == 1 and options.schedule == "hybrid" else None
        step = _stepper(progress, done, work, number, search.vote_iterations)
        matches = [_first_matches(levels[-1], mask, solution, told, patch, generator)]
        solution = solve(levels.pop(), matches.pop(), search, step)  # the engine can free both
        done += work[number]
    assert solution is not None, "there is one level at least"
    if last is not None:
        search = Search(
            options.last_patch,
            0.0,
            *_iterations(searches[-1]),
            options.voting,
            options.stop_threshold,
            options.seed + 1,
        )
        solution = solve(last, solution.nnf, search, _stepper(progress, done, work, -1, search.vote_iterations))
    return solution


def _first_matches(
    level: Level,
    mask: Tensor,
    coarser: Solution | None,
    told: SynthesisProblem | None,
    patch: int,
    generator: torch.Generator,
) -> Tensor:
    """What the search of a level starts from: the coarser level's matches, at random where there are none; where it
    fits better the start that the problem was ``told``, whose pictures are this level's; -1 outside the mask."""
    if coarser is None:
        nnf = _random_nnf(level, patch, generator)
    else:
        nnf = upscale_nnf(coarser.nnf, level.target_size, level.source_size, patch)
        if level.usable is not None:
            nnf = torch.where(_is_usable(level, nnf, patch), nnf, _random_nnf(level, patch, generator))
    if told is not None:
        nnf = _better_start(level, nnf, told, patch)
    return torch.where(mask[..., None], nnf, -1)


def _stepper(progress: Progress, done: float, work: Sequence[float], number: int, votes: int) -> Callable[[], None]:
    """What to call after each of a level's votes: reports the share of all work done."""
    count = 0

    def step() -> None:
        nonlocal count
        count += 1
        progress((done + work[number] * count / votes) / max(sum(work), 1), "Patch synthesis")

    return step


def _iterations(search: Search) -> tuple[int, int]:
    return search.vote_iterations, search.match_iterations


def _search(options: SynthesisOptions, level: int, levels: int) -> Search:
    votes = options.vote_iterations
    if options.schedule == "hybrid":
        votes = max(round(votes / 2 if level == levels - 1 else votes * 2 / 3), 1)
    return Search(
        options.patch,
        options.uniformity,
        votes,
        options.match_iterations,
        options.voting,
        options.stop_threshold,
        options.seed,
    )


def _levels(problem: SynthesisProblem, options: SynthesisOptions) -> tuple[list[Tensor], list[Level]]:
    """Masks of the pixels to match and pictures of all levels, coarsest first."""
    source_size, target_size = problem.source_size, problem.target_size
    most = level_count(source_size, target_size, options.patch)
    count = most if options.levels is None else min(options.levels, most)
    style_channels = problem.style.shape[-1]
    weights = torch.cat([all_style_weights(problem), problem.guide_weights.float().cpu()])
    placed = weights.to(problem.style.device)
    source = torch.cat([problem.style, problem.source_guides], dim=-1)
    usable = None
    if problem.source_mask is not None:
        usable = problem.source_mask.to(torch.uint8).mul(255)[..., None]

    levels = []
    for number in reversed(range(count)):
        small, target_small = level_size(source_size, number, count), level_size(target_size, number, count)
        level = Level(
            resample(source, small),
            resample(problem.target_guides, target_small),
            weights,
            style_channels,
            None if problem.modulation is None else resample(problem.modulation, target_small),
            None if usable is None else _whole_patches(resample(usable, small)[..., 0] > 127, options.patch),
            placed,
        )
        if usable is not None and not usable_centres(level, options.patch).flatten(1).any(dim=1).all():
            break  # coarser levels have no room for a patch in the source mask
        levels.append(level)
    if not levels:
        raise BetwixtError(
            f"The source mask has no room for a patch of {options.patch}x{options.patch} pixels.",
            "At least one whole patch of every key frame must lie inside its mask.",
            "Enlarge the mask of the key frame, or choose a smaller patch.",
        )
    mask = torch.ones(problem.target_guides.shape[:3], dtype=torch.bool, device=problem.style.device)
    if problem.target_mask is not None:
        wanted = problem.target_mask.float()[:, None]
        mask = F.max_pool2d(wanted, options.patch, 1, options.patch // 2)[:, 0] > 0
    masks = [mask]
    for finer, coarser in pairwise(levels):
        masks.append(resample_mask(masks[-1], coarser.target_size, finer.target_size))
    return masks[::-1], levels[::-1]


def _whole_patches(mask: Tensor, patch: int) -> Tensor:
    """Where [B, H, W] is set all over the patch."""
    return F.max_pool2d(1.0 - mask.float()[:, None], patch, 1, patch // 2)[:, 0] == 0


def _random_nnf(level: Level, patch: int, generator: torch.Generator) -> Tensor:
    """A random usable match for every target pixel: int32 [B, Ht, Wt, 2]. Drawn on the CPU."""
    if level.usable is None:
        inside = torch.zeros(level.source_size, dtype=torch.bool)
        inside[patch // 2 : -(patch // 2), patch // 2 : -(patch // 2)] = True
        allowed = inside.expand(len(level.source), -1, -1)
    else:
        allowed = usable_centres(level, patch).cpu()
    fields = []
    for centres in allowed:
        places = torch.nonzero(centres).flip(-1)
        choice = torch.randint(len(places), level.target_size, generator=generator)
        fields.append(places[choice])
    return torch.stack(fields).int().to(level.source.device)


def _is_usable(level: Level, nnf: Tensor, patch: int) -> Tensor:
    """bool [B, Ht, Wt, 1]: matches that exist and are allowed; unmatched pixels count as allowed."""
    b = torch.arange(len(nnf), device=nnf.device).view(-1, 1, 1)
    x, y = nnf[..., 0].long(), nnf[..., 1].long()
    return ((x < 0) | usable_centres(level, patch)[b, y.clamp(min=0), x.clamp(min=0)])[..., None]


def _better_start(level: Level, nnf: Tensor, told: SynthesisProblem, patch: int) -> Tensor:
    """Per pixel ``nnf`` or the start that the problem was told, whichever's patch fits the guides better."""
    assert told.start is not None, "it was checked"
    legal = clamped(told.start.to(nnf.dtype), level.source_size, patch // 2)
    legal = torch.where((told.start[..., :1] < 0) | ~_is_usable(level, legal, patch), nnf, legal)
    weights = level.weights_there[level.style_channels :]
    same = (legal == nnf).all(dim=-1, keepdim=True)

    def misfit(matches: Tensor) -> Tensor:
        asked = torch.where(same, -1, matches)
        return patch_error(told.source_guides, told.target_guides, weights, asked, patch, told.modulation)

    return torch.where((misfit(legal) < misfit(nnf))[..., None], legal, nnf)

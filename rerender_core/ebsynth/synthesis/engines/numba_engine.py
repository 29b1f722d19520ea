"""The scanline engine: PatchMatch compiled by numba, on the CPU (docs/methods/ebsynth.md, PatchMatch; Scanline engine).

The target is cut into bands of rows that are searched at the same time. Within a PatchMatch iteration a band sees the
other bands' matches as they were at its beginning. What they occupy of the source it is told between the parts in
which the iteration goes through the bands. So the result is the same for any number of threads.

Bands that do not see what the others occupy crowd into the same places: where uniformity counts for more than the
guides, bands of 64 rows searched in one piece end with up to twice the energy. So parts are as short as the share of
pixels whose match changes demands.
"""

import math
from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
import torch
from torch import Tensor

from .....common.compiled_kernels import compiled
from .....common.helpers import Helpers
from ..occupancy import covered
from ..search_level import Level, Search, Solution, occupancy_cost, search_radii, usable_centres
from ..voting import changed, vote
from . import numba_kernels
from .numba_kernels import BLOCKED, MEANS, SCALED, SWITCHED

BAND_ROWS = 64  # at least
MOST_BANDS = 16
ROWS_AT_ONCE = 64  # of patch means
FEWEST_PARTS = 4  # of an iteration
SCALES = np.rint(256 * np.sqrt(np.arange(256) / 255.0)).astype(np.int16)  # of differences, by the modulation
REFRESH_SHARE = 100  # bands are told once 1 / this of all pixels have changed their match, or a row of each band

NO_PICTURE = np.empty((0, 0, 0), np.uint8)


def solve(level: Level, nnf: Tensor, search: Search, step: Callable[[], None]) -> Solution:
    """See :class:`.search_level.Engine`. Uses as many threads as torch does.

    Raises:
        ImportError: numba is not installed.
    """
    device = level.source.device
    with Helpers(device) as helpers:
        problems = helpers.each(partial(_Problem, level, search), enumerate(nnf))
        del level, nnf  # the problems have their own
        _vote(problems, helpers)
        for iteration in range(search.vote_iterations):
            _search(problems, helpers, iteration)
            _vote(problems, helpers)
            step()
    solutions = []
    while problems:  # one after the other, each freed before the next is looked at
        problem = problems.pop(0)
        problem.forget()
        solutions.append((problem.image, problem.coordinates(), problem.patch_errors()))
        del problem
    return Solution(*(torch.from_numpy(np.stack(field)).to(device) for field in zip(*solutions, strict=True)))


def _search(problems: list["_Problem"], helpers: Helpers, iteration: int) -> None:
    """All PatchMatch iterations between two votes."""
    bands = [(problem, band) for problem in problems for band in range(problem.band_count)]
    helpers.each(_Problem.begin_search, problems)
    helpers.each(lambda at: at[0].measure(at[1]), bands)
    for number in range(problems[0].search.match_iterations):
        helpers.each(_Problem.begin_iteration, problems)
        match = partial(_match_part, iteration=iteration, number=number)
        while bands_left := [at for at in bands if at[0].searched_rows < at[0].band_rows]:
            helpers.each(match, bands_left)
            helpers.each(_Problem.end_part, dict(bands_left))


def _match_part(at: tuple["_Problem", int], iteration: int, number: int) -> None:
    at[0].match(at[1], iteration, number)


def _vote(problems: list["_Problem"], helpers: Helpers) -> None:
    helpers.each(_Problem.begin_vote, problems)
    helpers.each(lambda at: at[0].vote(at[1]), [(p, band) for p in problems for band in range(p.band_count)])
    helpers.each(_Problem.end_vote, problems)


class _Problem:
    """One problem of the batch, in the layout of numba_kernels.py."""

    def __init__(self, level: Level, search: Search, at: tuple[int, Tensor]):
        index, nnf = at
        self.kernels = compiled(numba_kernels)
        self.search = search
        self.seed = (search.seed * 1_000_003 + index) * 1_000_003 + sum(level.target_size)
        radius = self.radius = search.patch // 2
        (self.source_height, self.source_width), (self.height, self.width) = level.source_size, level.target_size
        self.channels, self.style_channels = level.source.shape[-1], level.style_channels
        self.resolution, self.levels = _scaled_levels(level.weights.numpy().astype(np.float64), search.patch)

        source = level.source[index].cpu().numpy()
        self.style = np.ascontiguousarray(source[..., : self.style_channels])
        features = np.empty(source.shape, np.int16)
        self._scale(source, 0, features)
        means = np.zeros((*features.shape[:2], MEANS), np.int16)
        _patch_means(features, search.patch, means)
        self.source, self.source_means = features.ravel(), means.ravel()
        guides = np.pad(level.target[index].cpu().numpy(), ((radius,) * 2, (radius,) * 2, (0, 0)), "edge")
        self.target = np.empty((*guides.shape[:2], self.channels), np.int16)
        self._scale(guides, self.style_channels, self.target)
        self.target_means = np.zeros((self.height, self.width, MEANS), np.int16)
        self.scales, self.scaled, self.steady = self._modulation(
            None if level.modulation is None else level.modulation[index]
        )

        start = nnf.cpu().numpy()
        self.matches = np.where(start[..., 0] < 0, -1, start[..., 1] * self.source_width + start[..., 0])
        self.matches = self.matches.astype(np.int32).ravel()
        self.error = np.zeros(self.height * self.width, np.int64)
        matched = int((self.matches >= 0).sum())
        self.cost = occupancy_cost(level, matched, search) * self.resolution**2
        self.blocked = ~usable_centres(level, search.patch)[index].cpu().numpy()
        self.radii = np.array(search_radii(level.source_size), np.int64)
        self.bounds = np.array([radius, radius, self.source_width - radius, self.source_height - radius], np.int64)
        self.active = np.ones(self.height * self.width, np.uint8)
        self.image = NO_PICTURE  # until the first vote
        self.band_count = min(max(self.height // BAND_ROWS, 1), MOST_BANDS)
        self.edges = [self.height * band // self.band_count for band in range(self.band_count + 1)]
        self.band_rows = -(-self.height // self.band_count)
        alone = self.band_count == 1 or self.cost == 0
        self.unseen_at_most = math.inf if alone else len(self.matches) / REFRESH_SHARE
        self.most_rows = self.height if alone else max(self.band_rows // FEWEST_PARTS, 1)
        self.part_rows = self.height if alone else 1

    def _scale(self, picture: np.ndarray, first_channel: int, features: np.ndarray) -> None:
        """uint8 [H, W, c] to scaled int16 in ``features`` [H, W, C], from channel ``first_channel`` on."""
        for channel, values in enumerate(np.moveaxis(picture, -1, 0), first_channel):
            features[..., channel] = self.levels[channel][values]

    def _modulation(self, modulation: Tensor | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Scales of differences like the target picture, which pixels' patches have any, and which channels none."""
        radius = self.radius
        steady = np.ones(MEANS, np.int16)  # beyond the last channel too, where all means are 0
        if modulation is None:
            return np.zeros(0, np.int16), np.zeros(self.height * self.width, np.uint8), steady
        scales = np.full((self.height, self.width, self.channels), 256, np.int16)
        given = modulation.cpu().numpy()
        scales[..., self.style_channels :] = SCALES[given]
        switched = all(((channel == 0) | (channel == 255)).all() for channel in np.moveaxis(given, -1, 0))
        reduced = (scales.min(axis=-1) < 256) * np.uint8(SWITCHED if switched else SCALED)
        scaled = cv2.dilate(reduced, np.ones((self.search.patch,) * 2, np.uint8), borderType=cv2.BORDER_REPLICATE)
        padded = np.pad(scales, ((radius,) * 2, (radius,) * 2, (0, 0)), "edge")
        steady[: self.channels] = (scales.min(axis=(0, 1)) == 256)[:MEANS]
        return padded.ravel(), scaled.ravel(), steady

    def begin_search(self) -> None:
        """Take the last vote into the target picture and count the matches anew."""
        radius, patch = self.radius, self.search.patch
        style = np.pad(self.image, ((radius,) * 2, (radius,) * 2, (0, 0)), "edge")
        self._scale(style, 0, self.target)
        _patch_means(self.target, patch, self.target_means)
        count = np.bincount(self.matches[self.matches >= 0], minlength=self.blocked.size).astype(np.int32)
        uses = torch.from_numpy(count.reshape(1, *self.blocked.shape))
        inside = covered(covered(uses, patch), patch)[0].numpy()
        inside[self.blocked] = BLOCKED
        self.moved = [0] * self.band_count
        self._tell(np.pad(inside, ((radius + 1,) * 2, (0, 0))).ravel())

    def measure(self, band: int) -> None:
        """Errors of the matches in a band."""
        self.kernels.match_errors(
            self.source, self.source_width, self.target.ravel(), self.scales, self.scaled, self.width, self.channels,
            self.search.patch, self.matches, self.error, self.edges[band], self.edges[band + 1],
        )  # fmt: skip

    def begin_iteration(self) -> None:
        """Freeze the matches that bands see of one another."""
        self.before = self.matches.copy()
        self.searched_rows = 0
        self.part_rows = min(self.part_rows, self.most_rows)

    def match(self, band: int, iteration: int, number: int) -> None:
        """A part of PatchMatch iteration ``number`` of the search before vote ``iteration``, in a band."""
        if self.outdated:
            self.maps[band] = self.occupied.copy()
        rows = self.edges[band + 1] - self.edges[band]
        seed = (self.seed * 1_000_003 + iteration * 1009 + number) & 0x7FFF_FFFF_FFFF_FFFF
        self.moved[band] = self.kernels.search(
            self.source, self.source_means, self.source_width, self.target.ravel(), self.target_means.ravel(),
            self.scales, self.scaled, self.steady, self.width, self.height, self.channels, self.search.patch,
            self.matches, self.before, self.error, self.maps[band], self.cost, self.active, self.radii, self.bounds,
            np.empty_like(self.radii), np.empty_like(self.radii), seed, number % 2 == 0,
            self.edges[band], self.edges[band + 1], min(self.searched_rows, rows),
            min(self.searched_rows + self.part_rows, rows),
        )  # fmt: skip

    def end_part(self) -> None:
        """Decide how long the next part may be, and tell the bands what they all occupy if it is time."""
        rows, moved = min(self.part_rows, self.band_rows - self.searched_rows), sum(self.moved)
        self.searched_rows += rows
        self.unseen += moved
        self.part_rows = max(int(min(rows * self.unseen_at_most / max(moved, 1), 2 * self.part_rows)), 1)
        self.outdated = self.unseen >= self.unseen_at_most
        if self.outdated:
            self._tell(self.occupied_by_all())

    def _tell(self, occupied: np.ndarray) -> None:
        """Let all bands start from this map, of which each makes its own before it changes it."""
        self.occupied, self.unseen = occupied, 0
        self.maps, self.outdated = [occupied] * self.band_count, True

    def occupied_by_all(self) -> np.ndarray:
        """What the bands changed in their occupancy maps, added up; modulo 2^32, so blocked places come out right."""
        total = self.occupied * np.int32(1 - self.band_count)
        for changed_map in self.maps:
            total += changed_map
        return total

    def begin_vote(self) -> None:
        """Free what the search needed, and make room for the picture."""
        self.maps, self.occupied = [], self.blocked[:0]
        self.previous, self.image = self.image, NO_PICTURE
        if self.search.stop_threshold == 0:
            self.previous = NO_PICTURE
        self.image = np.empty((self.height, self.width, self.style_channels), np.uint8)

    def vote(self, band: int) -> None:
        """The picture that the matches make, in a band."""
        if self.search.voting == "plain":
            self.kernels.vote(
                self.style.ravel(), self.source_width, self.matches, self.width, self.height, self.style_channels,
                self.search.patch, np.empty(self.style_channels, np.int32), self.image.ravel(),
                self.edges[band], self.edges[band + 1],
            )  # fmt: skip

    def end_vote(self) -> None:
        """The picture, for the kinds of voting that have no kernel; and where the random search goes on."""
        if self.search.voting != "plain":
            style, nnf, error = (
                torch.from_numpy(field)[None] for field in (self.style, self.coordinates(), self.patch_errors())
            )
            self.image = vote(style, nnf, self.search.patch, self.search.voting, error)[0].numpy()
        if self.search.stop_threshold > 0 and self.previous.size:
            before, now = (torch.from_numpy(picture)[None] for picture in (self.previous, self.image))
            active = changed(before, now, self.search.stop_threshold, self.search.patch)
            self.active = active.numpy().astype(np.uint8).ravel()

    def forget(self) -> None:
        """Free what only a search needs."""
        nothing: np.ndarray = np.zeros(0, np.int16)
        self.source = self.source_means = self.target = self.target_means = self.scales = nothing
        self.maps, self.occupied, self.before = [], nothing, nothing

    def coordinates(self) -> np.ndarray:
        """The matches as int32 [Ht, Wt, 2], (x, y), -1 for none."""
        nnf = np.empty((len(self.matches), 2), np.int32)
        np.divmod(self.matches, self.source_width, out=(nnf[:, 1], nnf[:, 0]))
        nnf[self.matches < 0, 0] = -1
        return nnf.reshape(self.height, self.width, 2)

    def patch_errors(self) -> np.ndarray:
        """float32 [Ht, Wt] in squared grey levels."""
        return (self.error / self.resolution**2).astype(np.float32).reshape(self.height, self.width)


def _scaled_levels(weights: np.ndarray, patch: int) -> tuple[float, np.ndarray]:
    """The finest resolution at which a row of a patch cannot overflow 32 bits nor a value 16, and the scaled grey
    levels int16 [C, 256]."""
    row = math.sqrt(2.0**31 / (patch * weights.sum() * 255.0**2))
    resolution = 0.99 * min(row, 32767.0 / (255.0 * math.sqrt(weights.max())))
    return resolution, np.rint(np.arange(256) * np.sqrt(weights)[:, None] * resolution).astype(np.int16)


def _patch_means(features: np.ndarray, patch: int, means: np.ndarray) -> None:
    """Fill ``means`` [h, w, MEANS] with the mean of every channel over the patch around each pixel of ``features``
    int16 [H, W, C], or around those inside a margin of (H - h) / 2. Channels that are not there stay 0."""
    used, (height, width) = min(features.shape[-1], MEANS), means.shape[:2]
    margin, radius = (len(features) - height) // 2, patch // 2
    for top in range(0, height, ROWS_AT_ONCE):
        bottom = min(top + ROWS_AT_ONCE, height)
        first, last = max(top + margin - radius, 0), min(bottom + margin + radius, len(features))
        part = np.ascontiguousarray(features[first:last, :, :used])
        inside = slice(top + margin - first, bottom + margin - first), slice(margin, margin + width)
        means[top:bottom, :, :used] = cv2.blur(part, (patch, patch)).reshape(part.shape)[inside]

"""Scanline PatchMatch and voting over a band of rows (docs/methods/ebsynth.md, PatchMatch; Voting; Scanline engine).

Kernel module, see common/compiled_kernels.py; far too slow to be used uncompiled. Everything is flat:

- Pictures are int16, each grey level scaled by ``root of the channel's weight * resolution`` and rounded, so that a
  patch error is a sum of squares, which compiles to 16-bit multiply-adds. Errors and costs are in units of
  ``1 / resolution^2``. The target has a margin of half a patch.
- A match is the flat index of a source pixel, -1 for none. Index arithmetic is unsigned where arrays are read, which
  spares the test for negative indices.
- ``means`` hold the patch mean of every channel, ``MEANS`` int16 per pixel of which the last ones may be 0. By
  Jensen's inequality patch^2 times their squared distance bounds the patch error from below, at one cache line per
  candidate. With more channels than that, the bound is that of the first ones.
- ``occupied`` holds, per source pixel, the uses of all pixels of the patch around it; about ``BLOCKED`` where no
  patch may be centred. Half a patch and one of extra rows on either side, and the blocked columns, take what runs over.
"""

import numpy as np

KERNELS = ("match_errors", "search", "vote")
INLINE = True  # a call costs as much as what is called computes
MULTIPLIER = np.uint64(6364136223846793005)  # Knuth's linear congruential generator MMIX
INCREMENT = np.uint64(1442695040888963407)
MIXER = np.uint64(0x9E3779B97F4A7C15)
LOW_21 = np.uint64(0x1FFFFF)
U = np.uint64
MEANS = 16
ROUNDING = np.int32(2)  # more than rounding two means can add to their difference
BLOCKED = 1 << 30
SCALED, SWITCHED = 1, 2  # pixels whose patch has other scales than 256: any, or 0 alone
NEVER = 2.0**62  # a float as all limits are, so that one copy of the code that takes them is compiled


def seeded(seed, row):
    """Generator state for one row of one iteration, so that results do not depend on the bands."""
    state = (U(seed) + MIXER * U(row + 1)) * MULTIPLIER
    state ^= state >> U(29)
    return state * MULTIPLIER + INCREMENT


def row_error(source, first, target, offset, length):
    """Sum of squared differences of two runs of ``length`` values."""
    ours = source[first : first + length]
    theirs = target[offset : offset + length]
    total = np.int32(0)
    for i in range(length):
        difference = np.int16(ours[i] - theirs[i])
        total = np.int32(total + np.int32(np.int32(difference) * np.int32(difference)))
    return np.int64(total)


def scaled_row_error(source, first, target, scales, offset, length):
    """The same with differences scaled by ``scales / 256``."""
    ours = source[first : first + length]
    theirs = target[offset : offset + length]
    scale = scales[offset : offset + length]
    total = np.int32(0)
    for i in range(length):
        difference = np.int32(np.int32(ours[i]) - np.int32(theirs[i]))
        difference = np.int32(np.int32(difference * np.int32(scale[i])) >> np.int32(8))
        total = np.int32(total + np.int32(np.int32(difference) * np.int32(difference)))
    return np.int64(total)


def switched_row_error(source, first, target, scales, offset, length):
    """The same where all ``scales`` are 0 or 256, in half the time."""
    ours = source[first : first + length]
    theirs = target[offset : offset + length]
    scale = scales[offset : offset + length]
    total = np.int32(0)
    for i in range(length):
        counts = np.int16(-np.int16(scale[i] >> np.int16(8)))  # all bits or none
        difference = np.int16(np.int16(ours[i] - theirs[i]) & counts)
        total = np.int32(total + np.int32(np.int32(difference) * np.int32(difference)))
    return np.int64(total)


def mean_error(ours, first, theirs, offset, count):
    """Squared distance of two pixels' patch means, ``count`` each."""
    our, their = ours[first : first + count], theirs[offset : offset + count]
    total = np.int32(0)
    for i in range(count):
        difference = np.int16(our[i] - their[i])
        total = np.int32(total + np.int32(np.int32(difference) * np.int32(difference)))
    return np.int64(total)


def steady_mean_error(ours, first, theirs, offset, steady):
    """The same of the channels that ``steady`` is 1 for, with ``ROUNDING`` off each difference."""
    count = len(steady)
    our, their = ours[first : first + count], theirs[offset : offset + count]
    total = np.int32(0)
    for i in range(count):
        difference = np.int32(abs(np.int32(np.int32(our[i]) - np.int32(their[i]))) - ROUNDING)
        difference = np.int32(max(difference, np.int32(0)) * np.int32(steady[i]))
        total = np.int32(total + np.int32(difference * difference))
    return np.int64(total)


def error_below(limit, source, first, source_row, target, scales, scaled, offset, target_row, patch, length):
    """The error of a patch whose corners lie at ``first`` and ``offset``; gives up as soon as it reaches ``limit``."""
    total = np.int64(0)
    for row in range(patch):
        ours = first + row * source_row
        theirs = offset + row * target_row
        if scaled == SWITCHED:
            total += switched_row_error(source, ours, target, scales, theirs, length)
        elif scaled:
            total += scaled_row_error(source, ours, target, scales, theirs, length)
        else:
            total += row_error(source, ours, target, theirs, length)
        if total >= limit:
            break
    return total


def move_patch(occupied, centre, to, row, patch):
    """Note that the patch centred at index ``centre`` of the map is used once less and that at ``to`` once more."""
    for side in range(2):
        for dy in range(1 - patch, patch):
            high = (patch - abs(dy)) * (2 * side - 1)
            start = (to if side else centre) + dy * row + 1 - patch
            line = occupied[start : start + 2 * patch - 1]
            for dx in range(2 * patch - 1):
                line[dx] += np.int32(high * (patch - abs(dx + 1 - patch)))


def match_errors(source, source_width, target, scales, scaled, width, channels, patch, matches, error, top, bottom):
    """Fill ``error`` for the rows top..bottom - 1."""
    radius = patch // 2
    for y in range(top, bottom):
        for x in range(width):
            t = y * width + x
            match = np.int64(matches[U(t)])
            if match >= 0:
                error[U(t)] = error_below(
                    NEVER,
                    source,
                    (match - radius * source_width - radius) * channels,
                    source_width * channels,
                    target,
                    scales,
                    scaled[U(t)],
                    (y * (width + 2 * radius) + x) * channels,
                    (width + 2 * radius) * channels,
                    patch,
                    patch * channels,
                )


def search(
    source, source_means, source_width, target, target_means, scales, scaled, steady, width, height, channels, patch,
    matches, before, error, occupied, cost, active, radii, bounds, candidates, bound, seed, forward, top, bottom,
    first, last,
):  # fmt: skip
    """Part of a PatchMatch iteration over a band, the rows top..bottom - 1, in place.

    Args:
        source, source_means, source_width, target, target_means, scales, width, height, channels: the pictures;
            ``scaled``: uint8 per target pixel, ``SCALED`` or ``SWITCHED``, else 0;
            ``steady``: int16 (MEANS,), 1 for each channel whose scale is 256 everywhere, else 0.
        matches: int32 per target pixel; ``before``: as they were before the iteration, read outside the band.
        error: int64, the errors of ``matches``.
        occupied: int32, this band's own map; ``cost``: of one unit in it.
        active: uint8, nonzero where the random search takes place.
        radii: of the random search, in the order in which they are tried.
        bounds: least x, least y, most x + 1, most y + 1 of a match.
        candidates, bound: int64 like ``radii``, scratch; made outside because that takes long to compile.
        forward: scan from the top left, else from the bottom right.
        first, last: the rows that are the part, first..last - 1, counted from where the scan of the band begins.

    Returns:
        How many matches changed.
    """
    radius = patch // 2
    source_row = source_width * channels
    target_row = (width + 2 * radius) * channels
    corner = radius * source_width + radius
    shift = (radius + 1) * source_width  # from a match to its place in the map
    length = patch * channels
    area = patch * patch
    means = len(steady)  # MEANS: a loop whose length is known is written out and not computed side by side
    step = 1 if forward else -1
    moved = 0
    for i in range(first, last):
        y = top + i if forward else bottom - 1 - i
        state = seeded(seed, y)
        field = matches if top <= y - step < bottom else before
        at_edge = y - step < 0 or y - step >= height
        for j in range(width):
            x = j if forward else width - 1 - j
            t = y * width + x
            match = np.int64(matches[U(t)])
            if match < 0:
                continue
            offset = y * target_row + x * channels
            best = error[U(t)]
            used = occupied[U(match + shift)]

            # First the neighbours' matches, then random ones around the best: in one loop, because whatever stands here
            # twice is compiled twice.
            for at_random in range(2 if active[U(t)] else 1):
                count = 0
                if at_random:
                    count = len(radii)
                    match_y = match // source_width
                    match_x = match - match_y * source_width
                    for k in range(count):
                        low_x = max(match_x - radii[U(k)], bounds[0])
                        low_y = max(match_y - radii[U(k)], bounds[1])
                        wide = min(match_x + radii[U(k)], bounds[2]) - low_x
                        high = min(match_y + radii[U(k)], bounds[3]) - low_y
                        state = state * MULTIPLIER + INCREMENT
                        new_x = low_x + ((np.int64(state >> U(43)) * wide) >> 21)
                        new_y = low_y + ((np.int64((state >> U(22)) & LOW_21) * high) >> 21)
                        candidates[U(k)] = new_y * source_width + new_x
                else:
                    candidate = np.int64(matches[U(t - step)]) if j > 0 else -1
                    if candidate >= 0:
                        candidates[0] = candidate + step
                        count = 1
                    candidate = np.int64(field[U(t - step * width)]) if not at_edge else -1
                    if candidate >= 0:
                        candidates[U(count)] = candidate + step * source_width
                        count += 1
                    if count and candidates[0] == match and candidates[U(count - 1)] == match:
                        count = 0
                for k in range(count):
                    first_mean = candidates[U(k)] * MEANS
                    if scaled[U(t)]:
                        low = steady_mean_error(source_means, first_mean, target_means, t * MEANS, steady)
                    else:
                        low = mean_error(source_means, first_mean, target_means, t * MEANS, means)
                    bound[U(k)] = area * low
                for k in range(count):
                    candidate = candidates[U(k)]
                    if bound[U(k)] >= best + cost * used or candidate == match:
                        continue
                    new_used = occupied[U(candidate + shift)]
                    limit = best + cost * (used - new_used)
                    if bound[U(k)] >= limit or new_used >= BLOCKED // 2:
                        continue
                    value = error_below(
                        limit, source, (candidate - corner) * channels, source_row,
                        target, scales, scaled[U(t)], offset, target_row, patch, length,
                    )  # fmt: skip
                    if value < limit:
                        move_patch(occupied, match + shift, candidate + shift, source_width, patch)
                        best = value
                        match = candidate
                        used = occupied[U(match + shift)]
            moved += match != matches[U(t)]
            matches[U(t)] = match
            error[U(t)] = best
    return moved


def vote(style, source_width, matches, width, height, channels, patch, sums, out, top, bottom):
    """Plain votes for the rows top..bottom - 1: ``style`` and ``out`` are uint8, ``channels`` per pixel; ``sums``:
    int32 (channels,), scratch."""
    radius = patch // 2
    for y in range(top, bottom):
        for x in range(width):
            for channel in range(channels):
                sums[U(channel)] = 0
            votes = 0
            for v in range(max(y - radius, 0), min(y + radius, height - 1) + 1):
                for u in range(max(x - radius, 0), min(x + radius, width - 1) + 1):
                    match = np.int64(matches[U(v * width + u)])
                    if match < 0:
                        continue
                    said = (match + (y - v) * source_width + (x - u)) * channels
                    for channel in range(channels):
                        sums[U(channel)] += style[U(said + channel)]
                    votes += 1
            for channel in range(channels):
                out[U((y * width + x) * channels + channel)] = sums[U(channel)] // max(votes, 1)

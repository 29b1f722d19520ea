"""PatchMatch and plain voting as Triton kernels: one program looks after ``BLOCK`` target pixels
(docs/methods/ebsynth.md, Fused engine).

Pictures are read as words of four channels, [.., WORDS] int32 per pixel, WORDS a power of two. Matches are flat
positions in a problem's own source, -1 = none. A kernel changes no pixel but its own, and counts are whole numbers:
results do not depend on the order in which programs run.
"""

from __future__ import annotations

try:
    import triton
    import triton.language as tl
except ImportError:  # Triton comes with PyTorch's CUDA builds for Linux
    triton = tl = None

# Arguments that change from call to call must not be compiled in.
CHANGING = ("height", "width", "source_height", "source_width", "pixels", "seed", "down", "right", "radius")


def _kernel(function):
    return function if triton is None else triton.jit(function, do_not_specialize=CHANGING)


@_kernel
def _squared(a, b, shift: tl.constexpr):
    difference = (((a >> shift) & 255) - ((b >> shift) & 255)).to(tl.float32)
    return difference * difference


@_kernel
def _factor(f, shift: tl.constexpr):
    return ((f >> shift) & 255).to(tl.float32) / 255


@_kernel
def search(
    source,
    target,
    factors,
    weights,
    match,
    centre,
    new_match,
    error,
    cost,
    count,
    active,
    height,
    width,
    source_height,
    source_width,
    pixels,
    seed,
    down,
    right,
    radius,
    MODE: tl.constexpr,
    MODULATED: tl.constexpr,
    SOME: tl.constexpr,
    WORDS: tl.constexpr,
    PATCH: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """One candidate per pixel, taken where it lowers patch error plus occupancy cost.

    MODE 0 measures the matches as they are; 1 tries the neighbour's match moved along; 2 tries a random place within
    ``radius`` of ``centre``. ``target`` and ``factors`` have half a patch of border. SOME: only where ``active``.
    """
    HALF: tl.constexpr = PATCH // 2
    pixel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = pixel < pixels
    problem = pixel // (height * width)
    place = pixel - problem * (height * width)
    y = place // width
    x = place - y * width
    here = tl.load(match + pixel, mask=inside, other=-1)
    live = inside & (here >= 0)
    first = problem * (source_height * source_width)

    if MODE == 0:
        candidate = tl.where(live, here, 0)
        limit = tl.full([BLOCK], float("inf"), tl.float32)
        at_y = candidate // source_width
        at_x = candidate - at_y * source_width
    else:
        if MODE == 1:
            known = live & (y >= down) & (y - down < height) & (x >= right) & (x - right < width)
            there = tl.load(match + pixel - down * width - right, mask=known, other=-1)
            live = known & (there >= 0)
            at_y = there // source_width
            at_x = there - at_y * source_width + right
            at_y += down
        else:
            if SOME:
                live = live & (tl.load(active + pixel, mask=inside, other=0) != 0)
            middle = tl.load(centre + pixel, mask=live, other=0)
            at_y = middle // source_width
            at_x = middle - at_y * source_width
            for_y, for_x, _, _ = tl.rand4x(seed, pixel)
            low_y = tl.maximum(at_y - radius, HALF)
            low_x = tl.maximum(at_x - radius, HALF)
            span_y = tl.minimum(at_y + radius, source_height - HALF) - low_y
            span_x = tl.minimum(at_x + radius, source_width - HALF) - low_x
            at_y = low_y + tl.minimum((for_y * span_y.to(tl.float32)).to(tl.int32), span_y - 1)
            at_x = low_x + tl.minimum((for_x * span_x.to(tl.float32)).to(tl.int32), span_x - 1)
        live = live & (at_x >= HALF) & (at_x < source_width - HALF) & (at_y >= HALF) & (at_y < source_height - HALF)
        candidate = at_y * source_width + at_x
        live = live & (candidate != here)
        before = tl.load(error + pixel, mask=live, other=0.0)
        limit = before + tl.load(cost + first + here, mask=live, other=0.0)
        limit -= tl.load(cost + first + candidate, mask=live, other=float("inf"))
        live = live & (limit > 0.0)

    wide = width + 2 * HALF
    words = tl.arange(0, WORDS)[None, :]
    ours = source + ((first + (at_y - HALF) * source_width + at_x - HALF) * WORDS)[:, None] + words
    corner = ((problem * ((height + 2 * HALF) * wide) + y * wide + x) * WORDS)[:, None] + words
    weight_0 = tl.load(weights + 4 * words)
    weight_1 = tl.load(weights + 4 * words + 1)
    weight_2 = tl.load(weights + 4 * words + 2)
    weight_3 = tl.load(weights + 4 * words + 3)
    sums = tl.zeros([BLOCK, WORDS], tl.float32)
    total = tl.zeros([BLOCK], tl.float32)
    for turn in range(PATCH):
        row = (turn + HALF) % PATCH  # the middle row first: it tells the most
        for column in range(PATCH):
            a = tl.load(ours + (row * source_width + column) * WORDS, mask=live[:, None], other=0)
            b = tl.load(target + corner + (row * wide + column) * WORDS, mask=live[:, None], other=0)
            if MODULATED:
                f = tl.load(factors + corner + (row * wide + column) * WORDS, mask=live[:, None], other=0)
                sums += _squared(a, b, 0) * weight_0 * _factor(f, 0) + _squared(a, b, 8) * weight_1 * _factor(f, 8)
                sums += _squared(a, b, 16) * weight_2 * _factor(f, 16) + _squared(a, b, 24) * weight_3 * _factor(f, 24)
            else:
                sums += _squared(a, b, 0) * weight_0 + _squared(a, b, 8) * weight_1
                sums += _squared(a, b, 16) * weight_2 + _squared(a, b, 24) * weight_3
        total = tl.sum(sums, axis=1)
        live = live & (total < limit)

    tl.store(error + pixel, total, mask=live)
    if MODE != 0:
        tl.store(new_match + pixel, tl.where(live, candidate, here), mask=inside)
        one = tl.full([BLOCK], 1, tl.int32)
        tl.atomic_add(count + first + candidate, one, mask=live)
        tl.atomic_add(count + first + here, -one, mask=live)


@_kernel
def occupancy_cost(
    count, usable, unit_cost, cost, source_height, source_width, pixels, PATCH: tl.constexpr, BLOCK: tl.constexpr
):
    """What a match costs at every source pixel: how often the pixels of its patch are used; infinite if not usable."""
    pixel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = pixel < pixels
    problem = pixel // (source_height * source_width)
    place = pixel - problem * (source_height * source_width)
    y = place // source_width
    x = place - y * source_width
    total = tl.zeros([BLOCK], tl.float32)
    for row in range(1 - PATCH, PATCH):
        for column in range(1 - PATCH, PATCH):
            known = (
                inside & (y + row >= 0) & (y + row < source_height) & (x + column >= 0) & (x + column < source_width)
            )
            there = tl.load(count + pixel + row * source_width + column, mask=known, other=0)
            total += ((PATCH - tl.abs(row)) * (PATCH - tl.abs(column)) * there).to(tl.float32)
    total *= tl.load(unit_cost + problem, mask=inside, other=0.0)
    allowed = tl.load(usable + pixel, mask=inside, other=0) != 0
    tl.store(cost + pixel, tl.where(allowed, total, float("inf")), mask=inside)


@_kernel
def vote(
    source,
    match,
    image,
    height,
    width,
    source_height,
    source_width,
    pixels,
    CHANNELS: tl.constexpr,
    WORDS: tl.constexpr,
    PATCH: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """One channel of the truncated mean of all that the patches over each target pixel say; 0 where nothing votes."""
    HALF: tl.constexpr = PATCH // 2
    channel = tl.program_id(1)
    pixel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = pixel < pixels
    problem = pixel // (height * width)
    place = pixel - problem * (height * width)
    y = place // width
    x = place - y * width
    first = problem * (source_height * source_width)
    total = tl.zeros([BLOCK], tl.int32)
    votes = tl.zeros([BLOCK], tl.int32)
    for row in range(-HALF, HALF + 1):
        for column in range(-HALF, HALF + 1):
            known = inside & (y + row >= 0) & (y + row < height) & (x + column >= 0) & (x + column < width)
            there = tl.load(match + pixel + row * width + column, mask=known, other=-1)
            known = known & (there >= 0)
            position = (first + there - row * source_width - column) * WORDS + channel // 4
            word = tl.load(source + position, mask=known, other=0)
            total += tl.where(known, (word >> (8 * (channel % 4))) & 255, 0)
            votes += known.to(tl.int32)
    mean = total // tl.maximum(votes, 1)
    tl.store(image + pixel * CHANNELS + channel, mean.to(tl.uint8), mask=inside)

"""Whether a picture is another one cropped, turned, mirrored or toned: both are laid over each other first.

The place is found coarsely by trying turns and sizes, and then by maximising the correlation over affine maps
(enhanced correlation coefficient, Evangelidis and Psarakis 2008, equation 23), from small pictures to larger ones.
"""

import math
from collections.abc import Callable, Sequence
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

COARSE, MIDDLE = 16, 32
"""Sides in pixels at which the place is searched, and then improved."""
TURNS = (-16.0, -8.0, 0.0, 8.0, 16.0)
"""Degrees."""
CORE = 12
"""Side in coarse pixels of the middle of a picture that is searched for: turned and cropped edges are left out."""
SIDES = (13, 12, 10, 8, 7, 6, 5)
"""Sides of that middle in the other picture, in coarse pixels: down to 17 % of its area."""
STARTS = 2
"""Places that are tried further."""
STEPS = 5, 3
"""Improvements at the middle side and at the full one."""
FLAT = 2.0
"""Grey values vary by at least so much (standard deviation, of 255), or count as if they did: the picture is empty."""
INSIDE = 0.4
"""Share of the middle of a picture that must lie in the other one."""
PASSES = 1, 2, 4
"""Numbers of slight blurs, by which pictures are made as sharp as what they lie on."""
DETAIL, DISC = 15, 0.88
"""What is wider than so many pixels is no detail; what is compared in the end is a disc of such a share of the side."""
SMALLEST, LARGEST = 0.12, 1.7
"""Of a picture, in areas of the other one: beyond, a map has gone astray."""


Way = Callable[[list[Tensor], Sequence[Tensor], Tensor, Tensor], Tensor]
"""Pictures at each sharpness, what they lie on, where both are seen, the area that it takes → correlations ``[n]``."""


def correlation(pictures: Tensor, real: Tensor) -> Tensor:
    """How alike pictures ``[n, S, S]`` are to others at half their side, or their mirror images: ``[n]``.

    Empty pictures are like nothing.
    """
    small = [F.avg_pool2d(each[:, None], 2)[:, 0] for each in (pictures, pictures.flip(-1), real)]
    one, mirrored, two = (unit(each, torch.ones_like(each, dtype=torch.bool), FLAT) for each in small)
    return torch.maximum((one * two).sum(1), (mirrored * two).sum(1)).clamp(-1, 1)


def aligned_correlation(pictures: Tensor, others: Tensor) -> Tensor:
    """How alike pictures are to others, or to their mirror images, once they are laid over them.

    Args:
        pictures: Grey ``[n, S, S]`` float, 0 to 255; S a multiple of 32.
        others: As many.

    Returns:
        ``[n, 2]`` in [−1, 1]: correlation of the middle of each picture with what it lies on, and of the details of
        both, which tell apart what is alike as a whole (lesions, slices); −1 where no place is found.
    """
    return _correlated(pictures, others, TURNS, STARTS, (_whole, _details))


def inset_correlation(pictures: Tensor, others: Tensor) -> Tensor:
    """How alike others, or their mirror images, are to parts of pictures: a copy in a frame, or inside another picture.

    Args:
        pictures: As of :func:`aligned_correlation`.
        others: As many.

    Returns:
        ``[n]`` in [−1, 1]: correlation of the middle of each other one, upright, with what it lies on; −1 where no
        place is found.
    """
    return _correlated(others, pictures, (0.0,), 1, (_whole,))[:, 0]


def _correlated(pictures: Tensor, others: Tensor, turns: tuple[float, ...], starts: int, ways: Sequence[Way]) -> Tensor:
    """Correlations ``[n, w]`` of pictures laid over others; −1 where no place is found.

    Args:
        pictures: As of :func:`aligned_correlation`.
        others: As many.
        turns: Degrees that are tried.
        starts: Places that are tried further.
        ways: What is correlated.
    """
    blurred, under = _blurred(pictures), _blurred(others)
    one, two = blurred[0], under[0]
    maps, mirrored = _places(_shrunk(one, COARSE), _shrunk(two, COARSE), turns, starts)
    pairs = torch.arange(len(one)).repeat_interleave(starts)
    one, two = one[pairs], two[pairs]
    one = torch.where(mirrored[:, None, None], one.flip(-1), one)
    maps, reached = _improved(_shrunk(one, MIDDLE), _shrunk(two, MIDDLE), maps, STEPS[0])
    best = reached.view(-1, starts).argmax(1) + starts * torch.arange(len(pictures))
    maps, reached = _improved(one[best], two[best], maps[best], STEPS[1])
    flipped = mirrored[best][:, None, None]
    blurred = [torch.where(flipped, each.flip(-1), each) for each in blurred]
    return _laid_over(blurred, under, maps, ways).masked_fill((reached == -1)[:, None], -1)


@cache
def _smoothing(side: int, weights: tuple[float, ...], times: int) -> Tensor:
    """What smooths a column of so many pixels, ``[side, side]``; beyond its ends it goes on with its last values."""
    edge = len(weights) // 2
    columns = torch.eye(side)[:, None]
    for _ in range(times):
        columns = F.conv1d(F.pad(columns, (edge, edge), mode="replicate"), torch.tensor(weights).view(1, 1, -1))
    return columns[:, 0].T.contiguous()


def smoothed(pictures: Tensor, weights: tuple[float, ...], times: int) -> Tensor:
    """Pictures ``[n, S, S]``, each pixel a weighted mean of its neighbours along both sides, so many times."""
    matrix = _smoothing(pictures.shape[-1], weights, times)
    return matrix @ pictures @ matrix.T


def _blurred(pictures: Tensor) -> list[Tensor]:
    """Ever less sharp pictures, by each number of :data:`PASSES`; the first without the noise of single pixels."""
    return [smoothed(pictures, (0.25, 0.5, 0.25), number) for number in PASSES]


def _shrunk(pictures: Tensor, side: int) -> Tensor:
    return F.avg_pool2d(pictures[:, None], pictures.shape[-1] // side)[:, 0]


def _places(pictures: Tensor, others: Tensor, degrees: tuple[float, ...], starts: int) -> tuple[Tensor, Tensor]:
    """The best few places of coarse pictures in others: maps ``[n · starts, 2, 3]`` and whether each is mirrored."""
    count = len(pictures)
    both = torch.stack((pictures, pictures.flip(-1)), 1).flatten(0, 1)  # [2n, C, C]
    turns = torch.tensor([[math.cos(turn), math.sin(turn)] for turn in map(math.radians, degrees)])
    cosine, sine = turns[:, 0], turns[:, 1]
    turn = torch.stack((torch.stack((cosine, -sine), 1), torch.stack((sine, cosine), 1)), 1)  # [T, 2, 2]
    share = CORE / COARSE
    theta = F.pad(turn * share, (0, 1))  # the middle of the turned picture
    grid = F.affine_grid(theta, [len(degrees), 1, CORE, CORE], align_corners=False).flatten(0, 1)[None]
    middles = F.grid_sample(both[:, None], grid.expand(2 * count, -1, -1, -1), align_corners=False)
    middles = middles.view(count, -1, CORE, CORE)  # [n, 2T, CORE, CORE], mirror by mirror
    scores, maps = [], []
    for side in SIDES:
        template = F.interpolate(middles, (side, side), mode="bilinear", antialias=True)
        template = template - template.mean((2, 3), keepdim=True)
        template = template / template.flatten(2).norm(dim=2).clamp_min(FLAT * side)[..., None, None]
        products = F.conv2d(others[None], template.flatten(0, 1)[:, None], groups=count)[0]
        mean = F.avg_pool2d(others[:, None], side, 1)
        spread = (F.avg_pool2d(others[:, None] ** 2, side, 1) - mean**2).clamp_min(FLAT**2).sqrt() * side
        found = products.unflatten(0, (count, -1)) / spread
        score, at = found.flatten(2).max(2)
        scores.append(score)
        width = COARSE - side + 1
        corner = torch.stack((at % width, at // width), -1)
        maps.append(torch.cat((torch.full((*at.shape, 1), side / COARSE), (2 * corner + side) / COARSE - 1), -1))
    # of each turn the best size, and of these the best few
    score, size = torch.stack(scores, -1).max(-1)
    chosen = torch.stack(maps, -2).gather(2, size[..., None, None].expand(-1, -1, 1, 3))[:, :, 0]
    top = score.topk(starts, 1).indices
    zoom, corner = chosen.gather(1, top[..., None].expand(-1, -1, 3)).split((1, 2), -1)
    # x of the other = zoom · (turn · share)⁻¹ · x of the picture + corner
    inverse = torch.linalg.inv(turn * share)[top % len(degrees)]
    return torch.cat((zoom[..., None] * inverse, corner[..., None]), -1).flatten(0, 1), (top >= len(degrees)).flatten()


def _improved(pictures: Tensor, others: Tensor, maps: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Maps after some steps towards the highest correlation, and what they reach ``[n]``; −1 where one went astray."""
    side = pictures.shape[-1]
    y, x = torch.meshgrid(_places_of(side), _places_of(side), indexing="ij")
    disc = torch.nonzero((x**2 + y**2).flatten() < 1)[:: side // MIDDLE, 0]  # a thousand points are enough
    points = torch.stack((x.flatten()[disc], y.flatten()[disc], torch.ones(len(disc))))
    template, source = pictures.flatten(1)[:, disc], torch.stack((others, *_ramps(others)), 1)
    best, reached = maps, torch.full((len(maps),), -1.0)
    for step in range(steps + 1):
        own, seen, slopes, score = _compared(template, source, maps, points)
        better = score > reached
        reached, best = torch.where(better, score, reached), torch.where(better[:, None, None], maps, best)
        if step < steps:
            maps = maps + _step(own, seen, slopes)
    return best, reached


def _compared(template: Tensor, source: Tensor, maps: Tensor, points: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Pictures and what they lie on without their means ``[n, p]``, how that changes with the map, the correlation.

    Args:
        template: Grey values ``[n, p]``.
        source: The others and how fast they rise, ``[n, 3, S, S]``.
        maps: ``[n, 2, 3]``.
        points: ``[3, p]``: x, y and 1.
    """
    at = (maps @ points).transpose(1, 2)
    inside = (at.abs() < 1).all(-1).float()
    sampled = F.grid_sample(source, at[:, None], padding_mode="border", align_corners=False)[:, :, 0]
    count = inside.sum(1, keepdim=True).clamp_min(1)
    own, seen = ((each - (each * inside).sum(1, keepdim=True) / count) * inside for each in (template, sampled[:, 0]))
    least = FLAT * count[:, 0].sqrt()
    score = (own * seen).sum(1) / (own.norm(dim=1).maximum(least) * seen.norm(dim=1).maximum(least))
    area = torch.linalg.det(maps[:, :, :2])
    astray = (count[:, 0] < INSIDE * points.shape[1]) | (area < SMALLEST) | (area > LARGEST)
    slopes = (sampled[:, 1:] * inside[:, None])[:, :, None] * points  # [n, 2, 3, p]
    return own, seen, slopes.flatten(1, 2), score.masked_fill(astray, -1)


def _step(own: Tensor, seen: Tensor, slopes: Tensor) -> Tensor:
    """The change of the maps ``[n, 2, 3]`` that enhanced correlation asks for."""
    gram = slopes @ slopes.transpose(1, 2)
    damping = 1e-3 * gram.diagonal(dim1=1, dim2=2).mean(1) + 1e-6
    projected = slopes @ torch.stack((seen, own), 2)  # [n, 6, 2]
    solved = torch.linalg.solve(gram + damping[:, None, None] * torch.eye(6), projected)
    over = seen.square().sum(1) - (projected[..., 0] * solved[..., 0]).sum(1)
    under = (own * seen).sum(1) - (projected[..., 1] * solved[..., 0]).sum(1)
    usual = seen.norm(dim=1) / own.norm(dim=1).clamp_min(1e-6)
    factor = torch.where(under > 1e-6, over / under.clamp_min(1e-6), usual)
    return (factor[:, None] * solved[..., 1] - solved[..., 0]).view(-1, 2, 3).clamp(-0.2, 0.2)


def _laid_over(one: list[Tensor], others: list[Tensor], maps: Tensor, ways: Sequence[Way]) -> Tensor:
    """Correlations ``[n, w]`` of pictures at each sharpness, by each way: the highest.

    A crop that was enlarged, a picture that was blurred, and a picture of more pixels than the other are less or more
    sharp than what they lie on.
    """
    side = one[0].shape[-1]
    grid = F.affine_grid(maps, [len(maps), 1, side, side], align_corners=False)
    under = F.grid_sample(torch.stack(others, 1), grid, padding_mode="border", align_corners=False).unbind(1)
    places = _places_of(side)
    seen = (grid.abs() < 1).all(-1) & (places.square() + places.square()[:, None] < DISC**2)
    area = torch.linalg.det(maps[:, :, :2]).clamp(SMALLEST, 1)
    return torch.stack([way(one, under, seen, area) for way in ways], 1).clamp(-1, 1)


def _whole(one: list[Tensor], under: Sequence[Tensor], seen: Tensor, area: Tensor) -> Tensor:
    """The smaller the part, the sooner it is as alike by chance: a smooth slice is found somewhere in any face."""
    return (1 - (1 - _sharpest(one, under, seen, FLAT)) / area.sqrt()).clamp_min(0)


def _details(one: list[Tensor], under: Sequence[Tensor], seen: Tensor, area: Tensor) -> Tensor:
    first, second = ([each - smoothed(each, (1 / DETAIL,) * DETAIL, 2) for each in side] for side in (one, under))
    return _sharpest(first, second, seen, FLAT / 2)


def _sharpest(one: Sequence[Tensor], under: Sequence[Tensor], seen: Tensor, flat: float) -> Tensor:
    """The highest correlation ``[n]`` of pictures at any sharpness with what they lie on, where that is seen."""
    first, second = ([unit(each, seen, flat) for each in side] for side in (one, under))
    pairs = [*((each, second[0]) for each in first), *((first[0], each) for each in second[1:])]
    return torch.stack([(each * other).sum(1) for each, other in pairs]).amax(0)


def unit(pictures: Tensor, seen: Tensor, flat: float) -> Tensor:
    """Pictures ``[n, S, S]`` of mean 0 and length 1 where they are seen, ``[n, S · S]``."""
    weight = seen.flatten(1).float()
    count = weight.sum(1, keepdim=True).clamp_min(1)
    rows = pictures.flatten(1)
    rows = (rows - (rows * weight).sum(1, keepdim=True) / count) * weight
    return rows / rows.norm(dim=1, keepdim=True).maximum(flat * count.sqrt())


def _places_of(side: int) -> Tensor:
    """Middles of pixels in [−1, 1]."""
    return (torch.arange(side) + 0.5) * 2 / side - 1


def _ramps(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """How fast grey values rise to the right and downwards, for a step of 1 in [−1, 1]."""
    padded, half = F.pad(pictures[:, None], (1, 1, 1, 1), mode="replicate")[:, 0], pictures.shape[-1] / 4
    return (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]) * half, (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]) * half

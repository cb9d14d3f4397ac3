"""Views of pictures: edited mildly or strongly and cut to a side, about a millisecond each.

:mod:`lcmem.edits` applies an edit to a batch of floats, for measuring; here each picture is bytes ``[H, W, 3]`` and is
edited alone, several times as fast, so that the edits keep up with the network on the same cores.
"""

import numpy as np

from lcmem.errors import extra
from lcmem.training.stage import Views

with extra("train", "stage.views need OpenCV"):
    import cv2

cv2.setNumThreads(0)  # a process that makes batches has one core
FIRST, SECOND = 0.4, 1.6
"""By these factors the pictures of a pair are edited strongly more or less often than the mean of both."""
Picture = np.ndarray
Random = np.random.Generator
BORDERS = (cv2.BORDER_REPLICATE, cv2.BORDER_CONSTANT, cv2.BORDER_REFLECT)
ENLARGING = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_NEAREST)


class ViewMaker:
    """Views as the settings say, with what holds for a domain alone.

    Args:
        settings: Of the stage.
        strong: ``settings.strong`` by number of the domain, where it has its own.
        least_area: ``settings.least_area`` likewise.
    """

    def __init__(self, settings: Views, strong: dict[int, float], least_area: dict[int, float]) -> None:
        self.settings, self.strong, self.least_area = settings, strong, least_area

    def view(self, rng: Random, picture: Picture, other: Picture, domain: int, *, first: bool) -> Picture:
        """A view of one picture.

        Args:
            rng: Decides everything.
            picture: ``[3, S, S]`` uint8, larger than the view.
            other: Another one, that may become its background.
            domain: Its domain's number.
            first: Whether it is the first of its pair.

        Returns:
            ``[3, side, side]`` uint8.
        """
        side, share = self.settings.side, self.strong.get(domain, self.settings.strong)
        square = np.ascontiguousarray(picture.transpose(1, 2, 0))
        if happens(rng, share * (FIRST if first else SECOND)):
            background = np.ascontiguousarray(other.transpose(1, 2, 0)) if happens(rng, 0.3) else None
            least = self.least_area.get(domain, self.settings.least_area)
            seen = strong(rng, square, side, background, least)
        elif not first and happens(rng, self.settings.soft):
            seen = soft(rng, square, side)
        elif first and happens(rng, self.settings.plain):
            seen = shrink(square, side)
        else:
            seen = mild(rng, square, side)
        return np.ascontiguousarray(seen.transpose(2, 0, 1))


def happens(rng: Random, probability: float) -> bool:
    """By chance."""
    return bool(rng.random() < probability)


def shrink(picture: Picture, side: int) -> Picture:
    """To a square of ``side`` pixels."""
    return cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)


def place(
    rng: Random, picture: Picture, side: int, area: tuple[float, float], aspect: float, degrees: float
) -> Picture:
    """Rotate, cut out a rectangle of some share of the area, mirror half of the time, and bring it to ``side``."""
    height = picture.shape[0]
    if degrees:
        turn = cv2.getRotationMatrix2D(((height - 1) / 2, (height - 1) / 2), rng.uniform(-degrees, degrees), 1)
        border = BORDERS[rng.integers(3)]
        picture = cv2.warpAffine(picture, turn, (height, height), flags=cv2.INTER_LINEAR, borderMode=border)
    share, ratio = rng.uniform(*area), np.exp(rng.uniform(-np.log(aspect), np.log(aspect)))
    columns = max(8, round(min(1, np.sqrt(share * ratio)) * height))
    rows = max(8, round(min(1, np.sqrt(share / ratio)) * height))
    x, y = rng.integers(0, height - columns + 1), rng.integers(0, height - rows + 1)
    picture = picture[y : y + rows, x : x + columns]
    if rng.random() < 0.5:
        picture = picture[:, ::-1]
    way = cv2.INTER_AREA if min(rows, columns) > side else cv2.INTER_LINEAR
    return cv2.resize(picture, (side, side), interpolation=way)


def tone(picture: Picture, brightness: float, contrast: float, gamma: float) -> Picture:
    """Gamma, contrast about the mean, brightness; by one table."""
    mean = float(picture.mean()) / 255
    curve = ((np.linspace(0, 1, 256) ** gamma - mean) * contrast + mean) * brightness
    return cv2.LUT(picture, (curve.clip(0, 1) * 255).round().astype(np.uint8))


def grey(picture: Picture) -> Picture:
    """Without colours."""
    return cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


def recolour(rng: Random, picture: Picture) -> Picture:
    """Another hue and saturation."""
    hsv = cv2.cvtColor(picture, cv2.COLOR_RGB2HSV).astype(np.int16)
    hsv[..., 0] = (hsv[..., 0] + rng.integers(-25, 26)) % 180
    hsv[..., 1] = np.clip(hsv[..., 1] * rng.uniform(0, 2), 0, 255)
    return cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB)


def rescale(rng: Random, picture: Picture, low: float, high: float) -> Picture:
    """Saved small and enlarged again."""
    side = picture.shape[0]
    small = shrink(picture, max(8, int(rng.uniform(low, high) * side)))
    return cv2.resize(small, (side, side), interpolation=ENLARGING[rng.choice(3, p=[0.5, 0.4, 0.1])])


def noise(rng: Random, picture: Picture, sigma: float) -> Picture:
    """Gaussian noise; ``sigma`` in a range of [0, 1]."""
    sample = rng.standard_normal(picture.shape, np.float32) * np.float32(sigma * 255)
    return cv2.add(picture, sample, dtype=cv2.CV_8U)


def jpeg(picture: Picture, quality: float) -> Picture:
    """Compressed."""
    coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))


def canvas(rng: Random, picture: Picture, other: Picture | None) -> Picture:
    """Shrunk onto a colour, black, white or another picture."""
    side = picture.shape[0]
    small = shrink(picture, int(rng.uniform(0.45, 0.92) * side))
    sheet = np.empty_like(picture)
    if other is not None and rng.random() < 0.4:
        sheet[:] = shrink(other, side)
    else:
        sheet[:] = rng.integers(0, 256, 3) if rng.random() < 0.5 else (0, 255)[rng.integers(2)]
    y, x = rng.integers(0, side - len(small) + 1, 2)
    sheet[y : y + len(small), x : x + len(small)] = small
    return sheet


def overlay(rng: Random, picture: Picture) -> Picture:
    """Boxes, letters, a translucent disc or a frame."""
    side, kind = picture.shape[0], rng.integers(4)
    colour, drawn = tuple(map(int, rng.integers(0, 256, 3))), picture.copy()
    if kind == 0:
        for _ in range(rng.integers(1, 4)):
            (x, y), (width, height) = rng.integers(0, side, 2), (rng.random(2) * 0.35 * side + 2).astype(int)
            cv2.rectangle(drawn, (int(x), int(y)), (int(x + width), int(y + height)), colour, -1)
    elif kind == 1:
        words = "".join(map(chr, rng.integers(65, 123, rng.integers(3, 9))))
        start = (int(rng.integers(-5, side // 2)), int(rng.integers(8, side)))
        size, width = rng.uniform(0.25, 1.0), int(rng.integers(1, 3))
        cv2.putText(drawn, words, start, cv2.FONT_HERSHEY_SIMPLEX, size, colour, width, cv2.LINE_AA)
    elif kind == 2:
        centre = tuple(map(int, rng.integers(0, side, 2)))
        cv2.circle(drawn, centre, int(rng.uniform(0.05, 0.3) * side), colour, -1)
        drawn = cv2.addWeighted(picture, 0.4, drawn, 0.6, 0)
    else:
        width = int(rng.uniform(0.03, 0.15) * side)
        drawn[:width] = drawn[-width:] = colour
        if rng.random() < 0.5:
            drawn[:, :width] = drawn[:, -width:] = colour
    return drawn


def mild(rng: Random, picture: Picture, side: int) -> Picture:
    """What happens to a picture on its way through the world."""
    picture = place(rng, picture, side, (0.8, 1.0), 1.12, 8 if happens(rng, 0.5) else 0)
    if happens(rng, 0.5):
        picture = tone(picture, rng.uniform(0.8, 1.2), rng.uniform(0.8, 1.25), rng.uniform(0.8, 1.25))
    if happens(rng, 0.08):
        picture = grey(picture)
    if happens(rng, 0.2):
        picture = rescale(rng, picture, 0.5, 1)
    elif happens(rng, 0.15):
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.2, 0.8))
    if happens(rng, 0.1):
        picture = noise(rng, picture, rng.uniform(0, 0.04))
    return jpeg(picture, rng.uniform(50, 95)) if happens(rng, 0.25) else picture


def soft(rng: Random, picture: Picture, side: int) -> Picture:
    """As a generator shows what it learnt by heart: whole and in its colours, but without the fine detail."""
    small = shrink(picture, max(8, int(rng.uniform(0.22, 0.6) * picture.shape[0])))
    if happens(rng, 0.5):
        small = cv2.GaussianBlur(small, (0, 0), rng.uniform(0.3, 1.0))
    seen = (
        mild(rng, small, side) if happens(rng, 0.5) else cv2.resize(small, (side, side), interpolation=cv2.INTER_CUBIC)
    )
    if happens(rng, 0.25):
        seen = tone(seen, rng.uniform(0.8, 1.2), rng.uniform(0.8, 1.2), rng.uniform(0.85, 1.2))
    return jpeg(seen, rng.uniform(40, 95)) if happens(rng, 0.2) else seen


def strong(rng: Random, picture: Picture, side: int, other: Picture | None, least: float) -> Picture:
    """About five edits at once; crops keep at least the share ``least`` of the area."""
    area = (least, 1.0) if happens(rng, 0.72) else (0.75, 1.0)
    if happens(rng, 0.04):
        picture = np.rot90(picture, int(rng.integers(1, 4))).copy()
    picture = place(rng, picture, side, area, 1.5 if happens(rng, 0.5) else 1.1, 25 if happens(rng, 0.35) else 0)
    if happens(rng, 0.12):
        picture = canvas(rng, picture, other)
    if happens(rng, 0.55):
        picture = tone(picture, *np.exp((rng.uniform(-1.3, 0.5), rng.uniform(-0.9, 0.5), rng.uniform(-0.6, 0.6))))
    if happens(rng, 0.3):
        picture = grey(picture)
    elif happens(rng, 0.25):
        picture = recolour(rng, picture)
    if happens(rng, 0.05):
        picture = np.clip(picture * rng.uniform(0.5, 1.3, 3), 0, 255).astype(np.uint8)
    if happens(rng, 0.2):
        picture = overlay(rng, picture)
    if happens(rng, 0.25):
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.3, 2.0))
    if happens(rng, 0.3):
        picture = rescale(rng, picture, 0.25, 0.8)
    if happens(rng, 0.25):
        picture = noise(rng, picture, rng.uniform(0, 0.15))
    if happens(rng, 0.02):
        picture = 255 - picture
    return jpeg(picture, rng.uniform(10, 95)) if happens(rng, 0.45) else picture

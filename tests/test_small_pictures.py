"""Claim: pictures that are as small as pictures may be are audited like others."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

import lcmem
from lcmem.matching.copy_levels import half_copy
from lcmem.pictures.paths import MIN_SIDE


def scribbles(folder, count, side, rng):
    """Pictures of a few lines, as different as handwritten digits."""
    folder.mkdir()
    for number in range(count):
        picture = Image.new("L", (side, side), 0)
        for _ in range(3):
            points = [tuple(map(int, rng.integers(1, side - 1, 2))) for _ in range(3)]
            ImageDraw.Draw(picture).line(points, fill=int(rng.integers(120, 255)), width=2)
        picture.save(folder / f"{number}.png")
    return folder


@pytest.mark.parametrize("side", [MIN_SIDE, 28])
def test_pictures_of_few_pixels_are_audited(side, tmp_path, rng):
    real = scribbles(tmp_path / "real", 30, side, rng)
    synthetic = scribbles(tmp_path / "synthetic", 6, side, rng)
    for number in range(3):
        Image.open(real / f"{number}.png").save(synthetic / f"copy-{number}.jpg", quality=85)
    audited = lcmem.audit(real, synthetic, workers=0)
    found = {Path(path).name for path in audited.matches.query("match")["synthetic"]}
    assert found >= {f"copy-{number}.jpg" for number in range(3)}
    assert audited.about["copy_method"] == "edited copies"


@pytest.mark.parametrize(("width", "height", "expected"), [(64, 40, (32, 20)), (33, 32, (16, 16)), (62, 26, (38, 16))])
def test_a_half_copy_is_no_smaller_than_pictures_may_be(width, height, expected):
    made = half_copy(np.zeros((3, height, width), np.uint8))
    assert made.shape[1::-1] == expected

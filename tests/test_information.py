"""Claim: pictures that show nothing are set aside by name; what shows something, however little, is not."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw

from lcmem.errors import LowInformationError
from lcmem.jobs.audit.run import audit
from lcmem.pictures.image import load_levels, load_picture
from lcmem.pictures.information import check_information, shows_little
from lcmem.pictures.loading import iterate_pictures

SIDE = 96


def drawing(colour, ground, mode="RGB"):
    """A circle of thin lines."""
    picture = Image.new(mode, (SIDE, SIDE), ground)
    ImageDraw.Draw(picture).ellipse((20, 20, 70, 70), outline=colour, width=1)
    return picture


def with_noise(level, scale):
    noise = np.random.default_rng(0).normal(level, scale, (SIDE, SIDE, 3))
    return Image.fromarray(np.clip(noise, 0, 255).astype(np.uint8))


def with_a_speck():
    picture = Image.new("RGB", (SIDE, SIDE), "white")
    picture.putpixel((40, 41), (0, 0, 0))
    return picture


BLANK = {
    "black": Image.new("L", (SIDE, SIDE)),
    "grey": Image.new("RGB", (SIDE, SIDE), (90, 20, 200)),
    "transparent": Image.new("RGBA", (SIDE, SIDE), (0, 0, 255, 0)),
    "noise": with_noise(200, 1.0),
    "speck": with_a_speck(),
    "tiny": Image.effect_noise((12, 40), 80),
}
SHOWN = {
    "drawing": drawing("black", "white"),
    "faint": drawing((235, 235, 235), "white"),
    "on black": drawing("white", "black"),
    "transparent": drawing((0, 0, 0, 255), (0, 0, 0, 0), "RGBA"),
    "white on transparent": drawing((255, 255, 255, 255), (255, 255, 255, 0), "RGBA"),
    "dark noise": with_noise(20, 6.0),
}


@pytest.mark.parametrize("name", BLANK)
def test_blank_pictures_are_set_aside(tmp_path, name):
    path = tmp_path / "a.png"
    BLANK[name].save(path)
    (batch,) = iterate_pictures([str(path)], SIDE)
    assert batch.indices == [] and batch.failures[0][1].startswith(f"{path}: low information: ")


@pytest.mark.parametrize("name", SHOWN)
@pytest.mark.parametrize("size", [SIDE, 64, None])
def test_what_shows_something_is_kept(tmp_path, name, size):
    path = tmp_path / "a.png"
    SHOWN[name].save(path)
    (batch,) = iterate_pictures([str(path)], size)
    assert batch.indices == [0]


def test_a_large_picture_is_not_judged_by_a_part_of_it():
    levels = np.full((3, 1200, 900), 255, np.uint8)
    levels[:, 600:640, 400:440] = 0
    assert not shows_little(levels)
    levels[:, 610:640, 400:440] = 255
    assert shows_little(levels), "400 of a million pixels"
    with pytest.raises(LowInformationError, match="a: low information"):
        check_information(levels, "a")


def test_what_is_drawn_can_be_seen():
    for name in ("transparent", "white on transparent"):
        planes = load_picture(SHOWN[name])
        assert planes.min() == 0 and planes.max() == 1
    ground = load_levels(drawing((200, 30, 30, 255), (0, 0, 0, 0), "RGBA"))
    assert (ground[:, 0, 0] == 255).all(), "on white, unless white hides it"


def test_an_audit_lists_them_and_counts_none(tmp_path, orl, compact):
    table = orl.table.iloc[:20]
    for name, count in (("real", 10), ("synthetic", 5)):
        folder = tmp_path / name
        folder.mkdir()
        for number in range(count):
            Image.fromarray(load_levels(table["path"].iloc[number]).transpose(1, 2, 0)).save(folder / f"{number}.png")
        BLANK["black"].save(folder / "blank.png")
    result = audit(tmp_path / "real", tmp_path / "synthetic", model=compact, workers=0)
    listed = result.skipped.set_index("set")["reason"]
    assert set(listed.index) == {"real", "synthetic"} and listed.str.contains("blank.png: low information: ").all()
    assert not pd.concat((result.matches["synthetic"], result.matches["real"])).str.contains("blank").any()
    assert len(result.scores["synthetic"]) == 5

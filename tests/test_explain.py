"""Claims: the maps of a pair show where the evidence lies, for every detector, and unrelated pairs show none."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images

from commands import lcmem
from lcmem.detectors.base import CosineDetector
from lcmem.errors import PictureError
from lcmem.jobs.explain import FAINT, explain, explain_matches, hiding_windows

pytestmark = pytest.mark.usefixtures("encoded_once")


class Pixels(CosineDetector):
    """The pixels themselves, so that what every place does to the score is known."""

    name, fingerprint, size = "pixels", "", 64

    def embed(self, pictures):
        return pictures.flatten(1).float() / 255

    def similarity(self, u, v):
        return -(u - v).abs().mean(1)


class Padded(Pixels):
    proportions = True


@pytest.fixture(scope="module")
def scenes():
    return [Image.fromarray(picture).resize((256, 256)) for picture in load_sample_images().images]


def face(faces, person, number):
    return Image.open(faces / f"s{person}" / f"{number}.pgm").convert("RGB")


def share_inside(values, box):
    """Share of all evidence for a match that lies in a box (left, top, right, bottom) of a 256-pixel picture."""
    left, top, right, bottom = (round(at * len(values) / 256) for at in box)
    evidence = values.clip(0)
    return evidence[top:bottom, left:right].sum() / evidence.sum()


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("person", [11, 13, 17])
def test_a_shared_face_on_other_backgrounds(faces, scenes, compact, person, number):
    one, two = (scene.copy() for scene in scenes)
    one.paste(face(faces, person, 1).resize((120, 120)), (16, 16))
    two.paste(face(faces, person, number).resize((120, 120)), (120, 128))
    first, second = explain(compact, one, two)
    assert share_inside(first, (16, 16, 136, 136)) > 0.5, "the face fills 22 % of the picture"
    assert share_inside(second, (120, 128, 240, 248)) > 0.35
    assert first.max() > 0.6 and second.max() > 0.25


@pytest.mark.parametrize(
    ("source", "cut", "place"),
    [(0, (16, 80, 144, 208), (112, 32, 240, 160)), (1, (48, 32, 208, 192), (48, 32, 208, 192))],
)
def test_a_patch_of_one_picture_in_an_unrelated_one(scenes, compact, source, cut, place):
    original, altered = scenes[source], scenes[1 - source].copy()
    altered.paste(original.crop(cut), place[:2])
    first, second = explain(compact, original, altered)
    assert share_inside(first, cut) > 0.5, "the patch fills 25 or 39 % of the picture"
    assert share_inside(second, place) > 0.4


def test_unrelated_pictures_show_no_strong_evidence(faces, scenes, compact):
    for pair in (scenes, [face(faces, 1, 1), face(faces, 2, 1)], [face(faces, 3, 1), scenes[0]]):
        assert max(values.max() for values in explain(compact, *pair)) < 0.75 * FAINT
    for person in (1, 4):
        pair = [face(faces, person, number) for number in (1, 2)]
        assert max(values.max() for values in explain(compact, *pair)) > FAINT, "one person's do"


def test_any_detector_and_only_where_something_is(rng):
    picture = np.full((64, 64, 3), 128, np.uint8)
    picture[8:24, 40:56] = rng.integers(0, 256, (16, 16, 3))
    first, second = explain(Pixels(), picture, picture)
    np.testing.assert_array_equal(first, second)
    assert first.shape == (64, 64) and first.dtype == np.float32
    assert np.unravel_index(first.argmax(), first.shape)[0] in range(8, 24) and first[8:24, 40:56].min() > 0
    far = np.ones((64, 64), bool)
    far[:40, 24:] = False  # a window away; soft borders reach a little further
    assert first[far].max() < 0.05 * first.max()
    assert not np.any(explain(Pixels(), picture[:, :40], picture[:, :40])), "a flat picture holds no evidence"


def test_what_speaks_against_a_match_is_below_zero(rng):
    plain = np.full((64, 64, 3), 128, np.uint8)
    disturbed = plain.copy()
    disturbed[40:56, 8:24] = rng.integers(0, 256, (16, 16, 3))
    values = explain(Pixels(), disturbed, plain)[0]
    assert values.min() < 0 and np.abs(values).argmax() == values.argmin()
    assert (disturbed != 128).any(-1).flat[values.argmin()]


def test_maps_change_places_with_the_pictures(faces, compact):
    a, b = faces / "s1" / "1.pgm", faces / "s1" / "2.pgm"
    for one, two in zip(explain(compact, a, b), explain(compact, b, a)[::-1], strict=True):
        np.testing.assert_allclose(one, two, atol=1e-4)


def test_the_map_covers_the_picture_without_the_margins(rng):
    wide = np.full((40, 128, 3), 128, np.uint8)
    wide[:, :32] = rng.integers(0, 256, (40, 32, 3))
    first, second = explain(Padded(), wide, wide.transpose(1, 0, 2))
    assert first.shape == (20, 64) and second.shape == (64, 20)
    assert explain(Padded(), wide, wide)[0].argmax() % 64 < 16
    ribbon = wide[:16].repeat(20, axis=1)
    assert explain(Padded(), ribbon, wide)[0].shape == (1, 64), "0.4 of a row is a row"


@pytest.mark.parametrize("side", [9, 64, 224, 299])
def test_windows_cover_every_pixel_and_hide_a_sixteenth(side):
    windows = hiding_windows(side)
    assert windows.min() >= 0 and windows.max() <= 1 + 1e-6 and windows.sum(0).min() > 0.5
    assert float(windows.mean()) == pytest.approx(1 / 16, rel=0.1)
    assert torch.isfinite(windows).all()


def test_the_command_draws_pictures_maps_and_verdict(faces, weights, tmp_path):
    named = tmp_path / "$x_{猫 and a name that is far too long to stand above a picture.png"
    face(faces, 1, 2).save(named)
    words = faces / "s1" / "1.pgm", named, "--model", weights
    plain = lcmem("compare", *words)
    done = lcmem("compare", *words, "--explain", tmp_path / "new" / "why.png")
    assert done.returncode == 0 and done.stdout.startswith(plain.stdout), done.stderr
    assert done.stdout.splitlines()[-1].endswith("why.png")
    with Image.open(tmp_path / "new" / "why.png") as drawn:
        levels = np.asarray(drawn.convert("RGB")).astype(int)
    lower = levels[len(levels) // 2 : len(levels) * 5 // 6]
    assert (lower[..., 0] - lower[..., 2]).max() > 60, "red, in what is drawn of two grey pictures"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["why.png"]


def test_bad_input_is_named_and_leaves_nothing(faces, compact, tmp_path):
    a = tmp_path / "a.png"
    face(faces, 1, 1).save(a)
    before = a.read_bytes()
    for out, message in ((a, "would be lost"), (tmp_path / "why.pdf", "name a .png file"), (tmp_path, "--explain")):
        done = lcmem("compare", a, faces / "s2" / "1.pgm", "--explain", out)
        assert done.returncode and message in " ".join(done.stderr.split())
    assert a.read_bytes() == before
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    assert "broken.png" in lcmem("compare", a, broken, "--explain", tmp_path / "why.png").stderr
    with pytest.raises(PictureError, match="broken"):
        explain(compact, a, broken)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "broken.png"]


def test_the_strongest_pairs_of_each_verdict_have_maps(faces, compact):
    paths = [str(faces / "s1" / f"{number}.pgm") for number in (1, 2, 3)]
    verdicts = ["copy", "same identity", "same identity", "no match"]
    table = pd.DataFrame({"path": [*paths, "gone"], "real": paths[0], "logit": [9.0, 7, 8, 1], "verdict": verdicts})
    found = explain_matches(compact, table.assign(match=table["verdict"] != "no match"), 1)
    assert [pair["synthetic"] for pair in found] == [paths[0], paths[2]] and found[0]["least"] == FAINT
    whole = explain(compact, paths[2], paths[0])[0]
    small = np.array(found[1]["maps"][0]["values"]).reshape(32, 32)
    assert small[0, 0] == pytest.approx(whole[0, 0], abs=1e-3) and small[-1, -1] == pytest.approx(
        whole[-1, -1], abs=1e-3
    )
    assert explain_matches(compact, table.assign(match=True, path="gone"), 2) == []

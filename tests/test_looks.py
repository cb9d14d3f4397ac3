"""Claims: a picture is the same as another, as it is or laid over it, mirrored or not; strangers are not."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

import lcmem
from lcmem.augment import Augmentation
from lcmem.generation.filter import PrivacyFilter
from lcmem.matching.correlations import PAIRED, correlate
from lcmem.matching.parts import BLOCK, PART, STRIDE
from lcmem.matching.thumbnails import SIDE, grey
from lcmem.pictures.image import load_levels
from lcmem.pictures.manifest import Manifest

pytestmark = pytest.mark.usefixtures("encoded_once")


@pytest.fixture(scope="module")
def small(orl):
    return [grey(load_levels(path, SIDE)) for path in orl.paths[::10]]


def part(picture, top, left, side):
    """A square of a thumbnail, as large as a thumbnail."""
    cut = Image.fromarray(picture[top : top + side, left : left + side])
    return np.asarray(cut.resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def test_whole_thumbnails_correlate_as_numpy_says(small):
    others = small[1:] + small[:1]
    halves = [[each.reshape(32, 2, 32, 2).mean((1, 3)) for each in pictures] for pictures in (small, others)]
    naive = [
        max(np.corrcoef(one.ravel(), two.ravel())[0, 1] for one in (first, first[:, ::-1]))
        for first, two in zip(*halves, strict=True)
    ]
    found = correlate(small, others)
    assert found[:, 0] == pytest.approx(naive, abs=1e-4)
    assert correlate([], []).shape == (0, len(PAIRED))


def warped(picture, share, degrees, mirrored):
    """Turned, cut to the middle but for a twentieth, mirrored and toned."""
    image = Image.fromarray(picture).resize((256, 256), Image.Resampling.BICUBIC)
    side, off = 256 * share, 256 * 0.05
    corner = (256 - side) / 2
    image = image.rotate(degrees, Image.Resampling.BICUBIC, center=(128 + off, 128 - off))
    image = image.crop(
        tuple(round(value) for value in (corner + off, corner - off, corner + off + side, corner - off + side))
    )
    small = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BICUBIC))[:, :: -1 if mirrored else 1]
    return (small.astype(float) * 0.6 + 20).astype(np.uint8)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize(("share", "degrees"), [(1, 0), (0.8, 0), (0.8, 12), (0.65, -20), (0.5, 7)])
def test_an_edited_copy_is_laid_over_its_original(small, share, degrees, mirrored):
    copies = [warped(picture, share, degrees, mirrored) for picture in small]
    found, others = (correlate(copies, each)[:, 1] for each in (small, small[1:] + small[:1]))
    assert np.quantile(found, 0.1) > 0.98 and np.median(others) < 0.9


def test_an_empty_picture_is_like_nothing(small):
    empty = np.full((SIDE, SIDE), 128, np.uint8)
    assert correlate([empty] * 3, small[:3]) == pytest.approx(0, abs=1e-3)
    assert correlate(small[:3], [empty] * 3) == pytest.approx(0, abs=1e-3)


def test_strongly_edited_copies_are_found_that_the_score_misses(orl, compact, tmp_path):
    """About five edits at once, of 40 of 200 photos; at a threshold by the score alone, as --threshold has it."""
    number = orl.table.groupby("identity").cumcount()
    real, sources = Manifest(orl.table[number < 5]), orl.table["path"][number == 0]
    for at, path in enumerate(sources):
        picture = torch.from_numpy(load_levels(path, 128))[None].float() / 255
        edited = Augmentation()(picture, torch.Generator().manual_seed(at))[0]
        Image.fromarray((edited * 255).byte().permute(1, 2, 0).numpy()).save(tmp_path / f"{at:02}.png")
    found = lcmem.audit(real, tmp_path, model=compact, workers=0).to_frame()
    matched = found["match"].to_numpy()
    by_score = (found["found_by"] == "score").to_numpy()
    right = np.array([shown == path for shown, path in zip(found["real"], sources, strict=True)])
    assert (matched & right).sum() >= by_score.sum() + 4
    assert right[matched & ~by_score].mean() >= 0.8


def smooth(picture):
    """A pixel is a weighted mean of its neighbours."""
    padded = np.pad(picture.astype(float), 1, mode="edge")
    rows = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    return (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / 4


def naive_part(one, two):
    """Mean of the best third of the correlations of blocks at the same places."""
    found = []
    for top in range(0, SIDE - BLOCK + 1, STRIDE):
        for left in range(0, SIDE - BLOCK + 1, STRIDE):
            a, b = (each[top : top + BLOCK, left : left + BLOCK] for each in (one, two))
            found.append(((a - a.mean()) * (b - b.mean())).mean() / (max(a.std(), 2) * max(b.std(), 2)))
    return np.sort(found)[-round(PART * len(found)) :].mean()


def test_parts_correlate_as_numpy_says(small):
    others = small[1:] + small[:1]
    naive = [
        max(naive_part(smooth(each), smooth(two)) for each in (one, one[:, ::-1]))
        for one, two in zip(small[:8], others[:8], strict=True)
    ]
    assert correlate(small[:8], others[:8])[:, 3] == pytest.approx(naive, abs=1e-3)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("kept", [np.s_[:, :32], np.s_[36:], np.s_[4:48, 4:48]])
def test_a_picture_is_found_by_a_part_that_is_another_s(small, kept, mirrored):
    """Half of it, or its middle; the rest shows somebody else."""
    pasted = []
    for one, other in zip(small, small[3:] + small[:3], strict=True):
        made = other.copy()
        made[kept] = one[kept]
        pasted.append(made[:, ::-1] if mirrored else made)
    mine, strangers = (correlate(pasted, each)[:, 3] for each in (small, small[7:] + small[:7]))
    assert mine.min() > 0.97 and strangers.max() < 0.95


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("share", [0.5, 0.7])
def test_a_picture_in_a_frame_or_in_another_one_is_found(small, share, mirrored):
    side, pasted = round(SIDE * share), []
    for at, one in enumerate(small):
        made = np.full_like(one, 235) if at % 2 else small[at - 3].copy()
        inset = np.asarray(Image.fromarray(one).resize((side, side), Image.Resampling.BICUBIC))
        made[6 : 6 + side, 9 : 9 + side] = inset[:, ::-1] if mirrored else inset
        pasted.append(made)
    mine, strangers = (correlate(pasted, each)[:, 4] for each in (small, small[7:] + small[:7]))
    assert np.quantile(mine, 0.1) > 0.95 and np.median(strangers) < 0.9


def test_an_audit_finds_faces_that_are_half_a_real_one(orl, compact):
    number = orl.table.groupby("identity").cumcount()
    real, new = orl.table["path"][number == 0], orl.table["path"][number == 9].iloc[::-1]
    people = Manifest(orl.table[(number < 3) & orl.table["identity"].isin(orl.table["identity"].unique()[:30])])
    halves = []
    for one, other in zip(real[:30], new[:30], strict=True):
        picture, under = np.asarray(Image.open(one)), np.asarray(Image.open(other)).copy()
        under[:62] = picture[:62]  # of 112 rows; at half of them they would be taken for sheets of two samples
        halves.append(Image.fromarray(under))
    found = lcmem.audit(people, halves, model=compact, workers=0).to_frame()
    shown = [str(path) for path in found["real"]]
    right = np.array([one == other for one, other in zip(shown, real[:30], strict=True)])
    assert (right & (found["found_by"] == "looks")).sum() >= 15
    assert (found["verdict"] != "copy").all()


def forms(rng, count, folder):
    """Papers of one layout with other words."""
    for number in range(count):
        page = Image.new("RGB", (256, 256), "white")
        draw = ImageDraw.Draw(page)
        for place, colour in (((0, 0, 255, 40), "navy"), ((20, 60, 120, 110), "silver"), ((0, 220, 255, 255), "grey")):
            draw.rectangle(place, fill=colour)
        for line in range(6):
            words = "".join(rng.choice(list("ABCDEFGHIJKLMNOP "), 14))
            draw.text((130, 60 + 22 * line), words, fill=(60, 60, 60))
        save_to = folder / f"p{number:02}" / "a.png"
        save_to.parent.mkdir(parents=True)
        page.save(save_to)
    return folder


def test_pictures_of_one_layout_are_no_copies_of_each_other(compact, tmp_path):
    rng = np.random.default_rng(0)
    real, new = forms(rng, 60, tmp_path / "real"), forms(rng, 30, tmp_path / "new")
    result = lcmem.audit(real, new, model=compact, workers=0)
    assert "looks" not in set(result.to_frame()["found_by"]) and result.copies.count <= 3
    assert "look the same" in result.copy_rule and not len(result.twins)
    judged = PrivacyFilter(compact, real)(sorted(map(str, new.rglob("*.png"))))
    assert (judged.table["verdict"] == "copy").sum() <= 3, "as in an audit"


def test_what_is_found_by_looks_is_in_the_verdict_and_in_what_chance_does(orl, compact):
    """Where no score can tell, crops of the real pictures match by their looks alone."""
    number = orl.table.groupby("identity").cumcount()
    bursts = Manifest(orl.table[number < 4].assign(identity=""))
    crops = [part(grey(load_levels(path, 96)), 8, 8, 60) for path in bursts.paths[::12]]
    result = lcmem.audit(bursts, [Image.fromarray(each) for each in crops], model=compact, workers=0)
    found = result.to_frame()
    assert (found["found_by"] == "looks").sum() == result.memorization.count > 0
    assert "None of" not in result.summary["verdict_sentence"]
    few = lcmem.audit(bursts, [Image.fromarray(each) for each in crops], model=compact, workers=0, top_k=1)
    assert few.memorization == result.memorization and len(few.matches) == len(crops)


def test_files_of_equal_content_are_found_by_their_content(orl, compact):
    result = lcmem.audit(orl.rows(range(100)), orl.paths[:3], model=compact, workers=0)
    assert set(result.to_frame()["found_by"]) == {"content"}


def test_threads_change_nothing_and_are_given_back(rng):
    """Three chunks, of which one is not full; on as many threads as PyTorch may use."""
    pictures, real = rng.integers(0, 256, (2, 150, 64, 64)).astype(np.uint8)
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append(correlate(pictures, real))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert found[0].shape == (150, len(PAIRED)) and np.array_equal(*found)

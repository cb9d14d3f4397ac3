"""Claims: turned, noisy and blurred pictures are found among all real ones, strangers are not."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image, ImageFilter, ImageOps

import lcmem
from lcmem.generation.filter import PrivacyFilter
from lcmem.matching.overview import Nearest, Overview, turned_correlation
from lcmem.matching.thumbnails import SIDE, Thumbnails, grey
from lcmem.pictures.image import load_levels

EXACT = ["90", "180", "270", "negative"]
"""Edits by which nothing is lost."""

pytestmark = pytest.mark.usefixtures("looks_once")


@pytest.fixture(scope="module")
def sets(orl, tmp_path_factory):
    """Thirty real people, edited pictures of ten of them, and ten other people."""
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("turned")
    table = orl.table[orl.table["identity"].isin([f"s{k}" for k in range(1, 31)])]
    table.to_csv(folder / "real.csv")
    others = orl.table[~orl.table["identity"].isin(set(table["identity"]))].groupby("identity").head(2)
    made = []
    for at, path in enumerate(table.groupby("identity")["path"].first().head(10)):
        picture = Image.open(path).convert("L")
        noisy = np.asarray(picture.resize((64, 64))) + rng.normal(scale=30, size=(64, 64))
        turned = {f"{angle}": picture.rotate(angle, expand=True) for angle in (90, 180, 270)}
        turned["noise"] = Image.fromarray(noisy.clip(0, 255).astype(np.uint8))
        turned["negative"] = ImageOps.invert(picture)
        turned["blur"] = picture.filter(ImageFilter.GaussianBlur(3))
        for edit, each in turned.items():
            each.save(folder / f"{edit}-{at}.png")
            made.append({"path": str(folder / f"{edit}-{at}.png"), "edit": edit, "original": path})
    pd.DataFrame(made).to_csv(folder / "edited.csv", index=False)
    others.to_csv(folder / "others.csv")
    return folder


def test_the_most_alike_of_all_however_turned(sets, orl):
    thumbnails, edited = Thumbnails(0), pd.read_csv(sets / "edited.csv")
    overview = Overview(thumbnails.each(orl.paths))
    found = overview.nearest(thumbnails.each(list(edited["path"])))
    right = np.array(orl.paths)[found.positions] == edited["original"]
    assert right.groupby(edited["edit"]).mean()[EXACT].min() == 1 and right.mean() > 0.9
    assert found.alike[edited["edit"].isin(EXACT)].min() > 0.999


def test_only_others_that_are_known_are_compared(orl):
    """Strangers must pass through the same maximum, or what they reach says nothing of chance."""
    small = Thumbnails(0).each(orl.paths[:40])
    overview, who = Overview(small), np.repeat(np.arange(4), 10)
    everything = overview.nearest(small)
    assert (everything.positions == np.arange(40)).all() and everything.alike.min() > 0.9999
    apart = overview.nearest(small, (who, who))
    assert (who[apart.positions] != who).all() and apart.alike.max() < everything.alike.min()
    unknown = np.where(who == 3, -1, who)
    assert (unknown[overview.nearest(small, (np.full(40, 9), unknown)).positions] >= 0).all()
    nothing = overview.nearest(small, (np.zeros(40), np.zeros(40)))
    assert [each.tolist() for each in nothing] == [each.tolist() for each in Nearest.none(40)]


def test_what_cannot_be_opened_or_is_empty_is_like_nothing(rng):
    picture, empty = rng.integers(0, 256, (SIDE, SIDE)).astype(np.uint8), np.full((SIDE, SIDE), 7, np.uint8)
    found = Overview([None, empty, picture]).nearest([None, empty, picture, picture.T])
    assert found.positions[2:].tolist() == [2, 2] and found.alike[:2].max() < 0.5 and found.alike[2:].min() > 0.999
    both = (torch.from_numpy(each.copy())[None].float() for each in (picture, np.rot90(picture, 3)))
    assert float(turned_correlation(*both)) == pytest.approx(1)


def test_an_audit_finds_them_and_no_strangers(sets, compact):
    found = lcmem.audit(sets / "real.csv", sets / "edited.csv", holdout=sets / "others.csv", model=compact, workers=0)
    frame = found.to_frame().merge(pd.read_csv(sets / "edited.csv"), on="path")
    rates = frame.groupby("edit")["match"].mean()
    assert rates.min() >= 0.9, rates
    turned = frame[frame["edit"].isin(EXACT)]
    assert (turned["verdict"] == "copy").all() and (turned["real"] == turned["original"]).all()
    assert found.holdout.count == 0
    assert "very small and turned" in found.calibration.explanation
    given = lcmem.audit(sets / "real.csv", sets / "edited.csv", model=compact, threshold=0.999, workers=0)
    assert not (given.to_frame()["found_by"] == "looks").any(), "with --threshold only scores decide"


def test_a_filter_refuses_them(sets, compact):
    privacy = PrivacyFilter(compact, sets / "real.csv")
    edited, others = (list(pd.read_csv(sets / f"{name}.csv")["path"]) for name in ("edited", "others"))
    table = privacy(edited).table.assign(edit=pd.read_csv(sets / "edited.csv")["edit"])
    assert (table["verdict"] != "no match").groupby(table["edit"]).mean().min() >= 0.9
    assert (privacy(others).table["verdict"] == "no match").all()
    pictures = [load_levels(path) for path in edited[:5]]
    assert (privacy(pictures).table["verdict"] == table["verdict"][:5]).all(), "in memory as from files"
    assert grey(load_levels(edited[0], SIDE)).shape == (SIDE, SIDE)

"""Claim: an audit says how many other photos of a person it would find, and is not calm where these are hardly any."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import lcmem
from lcmem.jobs.audit.gate import PASS, WEAK, Gate
from lcmem.jobs.audit.result import AuditResult
from lcmem.report.verdict import CALM, UNCLEAR

pytestmark = pytest.mark.usefixtures("looks_once")
SETS = ("real", "synthetic")


@pytest.fixture(scope="module")
def sets(orl, tmp_path_factory):
    """Three photos of each of twenty people, of which one is there twice, and strangers."""
    folder = tmp_path_factory.mktemp("sensitivity")
    table = orl.table.assign(number=orl.table.groupby("identity").cumcount())
    people = [f"s{k}" for k in range(1, 21)]
    real = table[table["identity"].isin(people) & (table["number"] < 3)]
    real.to_csv(folder / "real.csv", index=False)
    table[~table["identity"].isin(people) & (table["number"] < 8)].to_csv(folder / "synthetic.csv", index=False)
    return folder


def audited(sets, compact, **options):
    return lcmem.audit(*(sets / f"{name}.csv" for name in SETS), model=compact, workers=0, **options)


@pytest.fixture(scope="module")
def found(sets, compact):
    return audited(sets, compact, out=sets / "out")


def by_hand(table, compact, threshold):
    """Whether each picture's best other one of its identity reaches the threshold."""
    features = torch.cat([compact.features([path]) for path in table["path"]])
    scores = compact.similarities(features, features).numpy()
    who = table["identity"].to_numpy()
    same = (who[:, None] == who) & ~np.eye(len(table), dtype=bool)
    return np.where(same, scores, -np.inf).max(1) >= threshold


def test_it_is_the_share_of_real_pictures_that_match_another_of_their_identity(found, sets, compact):
    numbers, table = found.summary, pd.read_csv(sets / "real.csv")
    reached = by_hand(table, compact, found.calibration.logit)
    assert numbers["sensitivity"] == reached.mean() and 0.3 < reached.mean() < 1 and numbers["n_sensitivity"] == 60
    assert numbers["sensitivity_low"] < numbers["sensitivity"] < numbers["sensitivity_high"]
    loaded = AuditResult.load(sets / "out").summary
    assert {name: loaded[name] for name in numbers if "sensitivity" in name} == {
        name: numbers[name] for name in numbers if "sensitivity" in name
    }
    assert "of 60 real pictures, those that match another" in (sets / "out" / "index.html").read_text(encoding="utf-8")


def test_files_that_are_there_twice_are_no_other_photos(found, sets, compact):
    """They would match at any threshold, and say nothing of other photos."""
    table = pd.read_csv(sets / "real.csv")
    ones = table.groupby("identity").head(1)
    twice = sets / "twice"
    twice.mkdir()
    for number in (1, 2):
        for row in ones.itertuples():
            (twice / f"{row.identity}-{number}.pgm").write_bytes(Path(row.path).read_bytes())
    rows = [(str(path), path.name.split("-")[0]) for path in sorted(twice.iterdir())]
    pd.DataFrame(rows, columns=["path", "identity"]).to_csv(sets / "doubled.csv", index=False)
    result = lcmem.audit(sets / "doubled.csv", sets / "synthetic.csv", model=compact, workers=0)
    assert result.summary["sensitivity"] is None and result.summary["n_sensitivity"] == 0
    single = lcmem.audit([*ones["path"]], sets / "synthetic.csv", model=compact, workers=0)
    assert single.summary["sensitivity"] is None and "it would find" not in single.write_report(sets).read_text("utf-8")


def test_a_threshold_that_no_photo_reaches_is_no_calm_verdict(found, sets, compact):
    blind = audited(sets, compact, threshold=0.9999999)
    assert not blind.memorization.count and blind.summary["sensitivity"] == 0
    assert found.summary["verdict"] != blind.summary["verdict"] == UNCLEAR, (found.summary["verdict"], CALM)
    assert "hardly any other photo of a person would be found: of 60" in blind.summary["verdict_sentence"]
    assert any("not classes (--no-identities)" in note for note in blind.summary["notes"])
    decision = Gate(0.5).decide(blind)
    assert decision.outcome == WEAK and "hardly any other photo" in decision.reason
    assert Gate(0.5, "copy").decide(blind).outcome == PASS, "copies are found without it"
    assert Gate(0.5).decide(found).outcome == PASS


def test_pictures_that_cannot_be_used_are_noted_first(sets, compact, tmp_path):
    """Two-frame GIF files of real pictures: nobody compared them with anything."""
    from PIL import Image

    copies = pd.read_csv(sets / "real.csv").head(40)
    for at, path in enumerate(copies["path"]):
        picture = Image.open(path)
        picture.save(tmp_path / f"{at}.gif", save_all=True, append_images=[picture.rotate(90)])
    table = pd.read_csv(sets / "synthetic.csv")[["path"]]
    paths = [*table["path"], *(str(path) for path in sorted(tmp_path.iterdir()))]
    result = lcmem.audit(sets / "real.csv", paths, model=compact, workers=0)
    assert not result.copies.count and result.left_out("synthetic") == 40 and result.summary["verdict"] == UNCLEAR
    assert result.about["notes"][0].startswith("40 of 200 synthetic pictures (20.0 %) could not be used")

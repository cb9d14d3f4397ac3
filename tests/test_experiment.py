"""The experiments run from end to end on real faces, and end with the same numbers when they are killed."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

import lcmem
from commands import lcmem as lcmem_command
from lcmem.errors import LCMemError
from lcmem.generation.diffusion.bench import Bench, read_datasets
from lcmem.generation.diffusion.conditions import STRATEGIES
from lcmem.generation.diffusion.settings import load_preset
from lcmem.jobs.experiment import table3 as job
from lcmem.jobs.experiment.latents import latent_filter
from lcmem.jobs.experiment.near_duplicates import _interval, near_duplicates
from lcmem.jobs.experiment.sizes import size_curve
from lcmem.jobs.experiment.table3 import table3

pytestmark = pytest.mark.usefixtures("looks_once")

CHANGES = (
    "generator.steps=6 generator.look_every=3 pictures=36 holdout=16 redrawn=6 batch_size=30 samples=8 sizes=[16,36] "
    "originals=4 sampler_steps=2 classifier.epochs=1 generator.precision='32-true'"
)
SETTINGS = load_preset("smoke").with_settings(CHANGES.split())


@pytest.fixture(scope="module")
def data(people):
    table = people.table[people.table["split"] != "val"].reset_index(drop=True)
    odd = table["identity"].str[1:].astype(int) % 2
    return lcmem.Manifest(table.assign(label=np.where(odd, "odd", "even"), dataset="orl"))


@pytest.fixture(scope="module")
def extractor(weights):
    """For the metrics of quality; EfficientNet-Lite0, which users have, sees pictures three times as large."""
    made = lcmem.load_detector(weights)
    made.name = "extractor"
    return made


def opened(data, folder, compact, extractor, settings=SETTINGS):
    return Bench.open(data, settings, folder, compact, extractor)


@pytest.fixture(scope="module")
def whole(data, compact, extractor, tmp_path_factory):
    """Table 3 in one go."""
    bench = opened(data, tmp_path_factory.mktemp("experiment") / "run", compact, extractor)
    return bench, table3(bench)


def test_table3_has_the_five_rows_and_the_published_ones_beside_them(whole):
    bench, table = whole
    assert list(table["strategy"]) == [*STRATEGIES]
    for name in ("fd", "kd", "irs", "paired", "paired_calibrated", "one_vs_all", "holdout"):
        assert (table[f"{name}_low"] <= table[name]).all() and (table[name] <= table[f"{name}_high"]).all()
    assert (table["redrawn"] == 6).all() and (table["redrawn_drawn"] >= 6).all()
    assert list(table["published_fid"]) == [9.43, 8.23, 7.25, 9.68, 8.28]
    after = table["redrawn_rate_after"].dropna()
    assert len(after) and (after == 0).all(), "what is kept is below the threshold"
    for name in ("label-noise", "ensemble-label"):
        assert (bench.folder / name / "samples.png").is_file() and (bench.folder / name / "loss.png").is_file()
    written = pd.read_csv(bench.folder / "table3.csv")
    np.testing.assert_allclose(written["fd"], table["fd"])


def test_nothing_of_the_holdout_is_trained_on(whole):
    bench, _ = whole
    assert not set(bench.train.manifest.identities) & set(bench.holdout.manifest.identities)
    assert list(bench.train.manifest.paths) == list(bench.real.manifest.paths)


@pytest.fixture(scope="module")
def compact_latent():
    return lcmem.load("compact-latent")


class StoppedError(Exception):
    """As a kill."""


def copied(bench, target):
    """A folder in which everything is encoded, and everything that the strategies share is done."""
    kept = shutil.ignore_patterns(*(name.lower().replace(" + ", "-") for name in STRATEGIES), "table3.csv")
    return shutil.copytree(bench.folder, target, ignore=kept)


@pytest.mark.parametrize("at", [1, 3, 5])
def test_killed_it_ends_with_the_same_table(whole, data, compact, extractor, tmp_path, monkeypatch, at):
    """In a look at samples while it trains, between two chunks of samples, and where samples are drawn again."""
    calls, draw = [], Bench.draw
    monkeypatch.setattr(job, "STRATEGIES", ["Prediction"])

    def failing(self, *arguments, **options):
        calls.append(None)
        if len(calls) == at:
            raise StoppedError
        return draw(self, *arguments, **options)

    monkeypatch.setattr(Bench, "draw", failing)
    copied(whole[0], tmp_path / "run")
    with pytest.raises((StoppedError, LCMemError)):  # the loop that draws again says which samples it was
        table3(opened(data, tmp_path / "run", compact, extractor))
    again = table3(opened(data, tmp_path / "run", compact, extractor))
    assert len(calls) > at
    wanted = whole[1][whole[1]["strategy"] == "Prediction"].reset_index(drop=True)
    pd.testing.assert_frame_equal(again, wanted, rtol=1e-3, atol=1e-4)


def test_a_finished_experiment_computes_nothing_again(whole, data, compact, extractor, monkeypatch):
    bench, table = whole
    monkeypatch.setattr(Bench, "draw", None)
    pd.testing.assert_frame_equal(table3(opened(data, bench.folder, compact, extractor)), table)


def test_another_experiment_in_the_folder_is_refused(whole, data, compact, extractor):
    with pytest.raises(LCMemError, match="other settings"):
        opened(data, whole[0].folder, compact, extractor, SETTINGS.with_settings(["samples=9"]))


def test_a_damaged_chunk_is_named(whole, data, compact, extractor):
    bench, _ = whole
    target = min((bench.folder / "ensemble" / "samples").glob("*.npz"))
    kept = target.read_bytes()
    target.write_bytes(kept[:100])
    with pytest.raises(LCMemError, match=r"\.npz: damaged .* delete it"):
        bench.samples("ensemble", None, bench.train, np.empty((8, 0)))
    target.write_bytes(kept)


def test_pictures_of_latents_are_the_pictures(whole, compact):
    bench, _ = whole
    at = np.arange(6)
    decoded = bench.pictures(bench.train.read(at, normalise=True), bench.train, at)
    clean = [lcmem.load_picture(path, bench.settings.size) for path in bench.train.manifest.paths[:6]]
    error = (decoded.numpy() / 255 - np.stack(clean)) ** 2
    assert error.mean() < 0.01, "scaled back before they are decoded"


def test_size_curve_and_near_duplicates(whole, data, compact, extractor, tmp_path):
    bench = opened(data, copied(whole[0], tmp_path / "run"), compact, extractor)
    table = size_curve(bench)
    assert list(table["pictures"]) == [16, 36]
    for name in ("size-16/nearest.png", "size-36/nearest.png", "sizes.png", "sizes.csv"):
        assert (bench.folder / name).is_file()
    found = near_duplicates(bench, [compact, "nobody"])
    good = found[found["status"] == "ok"]
    assert set(good["detector"]) == {"compact", "compact, as in an audit"}
    assert set(good["set"]) == {"training", "holdout"}
    assert "nobody" in set(found["detector"]), "what cannot run has a row that says why"
    assert good["agreeing"].between(0, 1).all() and (good["low"] <= good["flagged"]).all()
    assert (bench.folder / "near_duplicates.png").is_file()
    few = SETTINGS.with_settings(["sizes=[1000]"])
    with pytest.raises(LCMemError, match="1000 training pictures"):
        size_curve(opened(data, tmp_path / "few", compact, extractor, few))


def test_a_filter_on_latents_decides_as_one_on_the_decoded_pictures(data, compact_latent, extractor, tmp_path):
    """Real latents differ by the autoencoder's round trip alone, and most verdicts are the same."""
    settings = SETTINGS.with_settings([f"size={compact_latent.size}", "pictures=20", "sizes=[20]", "samples=8"])
    table = latent_filter(opened(data, tmp_path / "run", compact_latent, extractor, settings)).set_index("set")
    assert list(table.index) == ["samples", "training", "holdout"]
    assert (table["same_verdict"] >= 0.75).all() and table.loc["training", "flagged_latents"] > 0.9
    assert 0 < table.loc["training", "difference_95"] < 3
    with pytest.raises(LCMemError, match=f"--set size={compact_latent.size}"):
        latent_filter(opened(data, tmp_path / "small", compact_latent, extractor))


def test_originals_that_are_always_or_never_flagged_have_no_spread():
    low, high = _interval(np.ones((5, 3), dtype=bool))
    assert (low, high) == (1, 1)
    hit = np.array([[True] * 3, [False] * 3] * 10)
    low, high = _interval(hit)
    assert low < 0.35 and high > 0.65, "twenty originals, not sixty pictures"


def test_data_without_the_dataset_is_named(data, tmp_path):
    data.write(tmp_path / "m.csv")
    assert set(read_datasets([str(tmp_path / "m.csv")], ["orl"]).table["dataset"]) == {"orl"}
    with pytest.raises(LCMemError, match="no pictures of nih; there are: orl"):
        read_datasets([str(tmp_path / "m.csv")], ["orl", "nih"])


def test_the_command_runs(data, tmp_path):
    data.write(tmp_path / "m.csv")
    options = ["generator.steps=2", "pictures=20", "holdout=4", "sizes=[16]", "samples=4", "sampler_steps=2"]
    command = ["experiment", "size-curve", "--data", tmp_path / "m.csv", "--out", tmp_path / "run"]
    command += ["--features", "compact"]
    for option in options:
        command += ["--set", option]
    done = lcmem_command(*command)
    assert done.returncode == 0, done.stderr
    assert "sizes.csv" in done.stdout
    assert json.loads((tmp_path / "run" / "experiment.json").read_text())["settings"]["samples"] == 4
    misspelt = lcmem_command("experiment", "near-duplicates", "--data", "y", "--detectors", "mse,phsh")
    assert misspelt.returncode == 1 and "did you mean phash?" in misspelt.stderr
    wrong = lcmem_command("experiment", "x", "--data", "y")
    assert wrong.returncode == 1 and "known: table3, size-curve, near-duplicates, latent-filter" in wrong.stderr

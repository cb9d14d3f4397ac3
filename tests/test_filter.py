"""The filter inside a sampling loop: verdicts are the audit's, nothing that matches gets through, all of it resumes."""

import dataclasses
import json
import os
import select
import shutil
import signal
from contextlib import nullcontext
from functools import partial

import diffusers
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import lcmem
from lcmem.atlas import Atlas, fill_atlas
from lcmem.detectors.lcmem import LCMem
from lcmem.encoders import load_encoder
from lcmem.errors import LCMemError, LCMemWarning
from lcmem.generation.filter import PrivacyFilter
from lcmem.generation.metric import MemorizationRate
from lcmem.generation.pipelines import PipelineSampler
from lcmem.generation.regenerate import generate_private, try_seeds
from lcmem.generation.thresholds import Thresholds
from lcmem.generation.tries import picture_of
from lcmem.matching.verdicts import NO_MATCH
from lcmem.model import NetworkSettings, SiameseNetwork
from lcmem.pictures.image import load_levels, load_picture
from lcmem.pictures.manifest import Manifest
from lcmem.stats.calibration import given_calibration
from lcmem.stats.chance import ROUNDING

pytestmark = pytest.mark.usefixtures("looks_once")


@pytest.fixture(scope="module")
def real(people):
    return people.select(split="train").rows(range(60))


@pytest.fixture(scope="module")
def privacy(compact, real, tmp_path_factory):
    atlas = Atlas.create(tmp_path_factory.mktemp("filter") / "real.atlas", compact)
    fill_atlas(real, compact, atlas)
    return PrivacyFilter(compact, Atlas.open(atlas.folder))


@pytest.fixture(scope="module")
def strangers(people):
    return people.select(split="test").paths[:20]


def test_verdicts_are_those_of_an_audit(privacy, real, strangers, compact):
    shown = [*real.paths[:3], *strangers]
    table = real.table.iloc[:0][["path"]].assign(identity="", split="", dataset="")
    synthetic = lcmem.Manifest(pd.concat([table, pd.DataFrame({"path": shown})]).fillna(""))
    frame = lcmem.audit(real, synthetic, model=compact, threshold=0.9).to_frame().set_index("path").loc[shown]
    found = PrivacyFilter(compact, real, threshold=0.9)(shown).table
    np.testing.assert_allclose(found["logit"], frame["logit"], rtol=ROUNDING, atol=ROUNDING)
    assert list(found["real"]) == list(frame["real"])
    assert list(found["identity"]) == list(frame["identity"])
    assert list(found["verdict"] != NO_MATCH) == list(frame["match"])


def test_real_pictures_that_cannot_be_read_are_said(faces, compact, tmp_path):
    shutil.copytree(faces / "s1", tmp_path / "real")
    (tmp_path / "real" / "broken.png").write_text("no picture")
    with pytest.warns(LCMemWarning, match=r"1 of 11 real pictures cannot be used .*broken\.png"):
        PrivacyFilter(compact, tmp_path / "real", threshold=0.5)


def test_what_a_small_generator_remembers_is_found(privacy, real):
    """Round trips at 96 pixels lose the detail by which people are told apart, not what the picture looks like."""
    levels = np.stack([load_levels(path, 96) for path in real.paths[:20]])
    soft = load_encoder("compact-autoencoder").round_trip(torch.from_numpy(levels).float() / 255).clamp(0, 1)
    found, unseen = privacy(soft), privacy.judge(privacy.detector.features(soft))
    copies, by_score = (list(np.flatnonzero(each.table["verdict"] == "copy")) for each in (found, unseen))
    assert len(copies) >= 12 and set(by_score) < set(copies)
    assert list(found.table["real"].iloc[copies]) == [real.paths[at] for at in copies]
    hit = np.flatnonzero(~found.novel)
    assert len(hit) >= 15 and set(np.flatnonzero(~unseen.novel)) < set(hit)
    assert list(found.table["identity"].iloc[hit]) == [real.identities[at] for at in hit]
    result = lcmem.audit(real, soft.numpy().transpose(0, 2, 3, 1), model=privacy.detector)
    assert result.copies.value >= 0.6 and result.memorization.value >= 0.75
    assert "also matches where it looks like" in result.calibration.explanation


def test_copies_people_and_strangers(privacy, real, strangers, compact):
    assert not privacy(real.paths).novel.any()
    assert privacy(strangers).novel.mean() >= 0.8, "six people of one unfamiliar kind can promise no small rate"
    level = privacy.thresholds.calibration.logit
    split = PrivacyFilter(
        compact, real, calibration=Thresholds(given_calibration(level, level, None), float(compact.bias) - 1e-3)
    )
    assert set(split(real.paths[:5]).table["verdict"]) == {"copy"}
    other = [path for path in real.paths if path not in real.paths[:10]]
    alone = PrivacyFilter(compact, real.rows(range(10)), calibration=split.thresholds)
    assert "copy" not in set(alone(other).table["verdict"])


def test_every_form_of_pictures_is_the_same(privacy, strangers):
    floats = np.stack([load_picture(path, 64) for path in strangers[:4]])
    wanted = privacy([each for each in floats]).table["logit"].to_numpy()
    levels = np.round(floats * 255).astype(np.uint8)
    forms = [
        torch.from_numpy(floats),
        np.moveaxis(floats, 1, -1),
        levels,
        torch.from_numpy(levels),
        np.moveaxis(levels, 1, -1),
        [Image.fromarray(np.moveaxis(each, 0, -1)) for each in levels],
    ]
    for form in forms:
        np.testing.assert_allclose(privacy(form).table["logit"], wanted, atol=0.06)
    assert len(privacy(strangers[0]).table) == len(privacy(load_picture(strangers[0])).table) == 1


def test_a_sample_under_the_name_of_another_is_looked_at_anew(privacy, real, strangers, tmp_path):
    """Samplers write every batch to the same files."""
    place, copy = tmp_path / "x0.png", np.rot90(load_picture(real.paths[3]).transpose(1, 2, 0))
    found = []
    for picture in (load_picture(strangers[0]).transpose(1, 2, 0), copy):
        Image.fromarray((255 * picture).round().astype(np.uint8)).save(place)
        found.append(privacy(str(place)).table["verdict"][0])
    assert found == ["no match", "copy"], "a copy that is turned is told by its looks"


def test_samples_of_16_bits_in_memory_are_refused_where_the_real_set_has_fewer(compact, real):
    assert PrivacyFilter(compact, real, threshold=0.9)(np.zeros((1, 32, 32, 3), np.uint16)) is not None
    deep = real.table.assign(path=real.table["path"] + "#bits=12")
    privacy = PrivacyFilter(compact, Manifest(deep), threshold=0.9)
    for sample in (np.zeros((1, 32, 32, 3), np.uint16), [Image.new("I;16", (32, 32))], [Image.new("I", (32, 32))]):
        with pytest.raises(LCMemError, match="has 16 bits, and the real pictures use 12"):
            privacy(sample)


def test_a_fork_has_threads_of_its_own(privacy, strangers):
    """As workers of a DataLoader have; without them it would wait for ever."""
    features = privacy.detector.features(strangers[:2])
    expected = privacy.judge(features).table["logit"]
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            gallery = privacy._gallery.best(features.numpy(), 1)
            os.write(writer, gallery.logits[:, 0].astype(np.float64).tobytes())
        finally:
            os._exit(0)
    answered = select.select([reader], [], [], 60)[0]
    if not answered:
        os.kill(child, signal.SIGKILL)
    assert answered, "it hangs"
    np.testing.assert_allclose(np.frombuffer(os.read(reader, 16)), expected)
    os.waitpid(child, 0)


def test_paired_compares_with_the_given_picture_only(privacy, real, compact):
    shown = [real.paths[k] for k in (0, 1, 2)]
    by_number = privacy(shown, against=[0, 11, 22]).table
    assert list(by_number["real"]) == [real.paths[k] for k in (0, 11, 22)]
    expected = [compact.score(a, real.paths[k]) for a, k in zip(shown, (0, 11, 22), strict=True)]
    np.testing.assert_allclose(by_number["logit"], expected, atol=1e-5, rtol=1e-5)
    by_path = privacy(shown, against=[os.path.relpath(real.paths[k]) for k in (0, 11, 22)]).table
    pd.testing.assert_frame_equal(by_number, by_path)
    pd.testing.assert_frame_equal(by_number, privacy(shown, against=iter([0, 11, 22])).table)
    with pytest.raises(LCMemError, match="one for each"):
        privacy(shown, against=[0])
    with pytest.raises(LCMemError, match="not among the 60"):
        privacy(shown, against=[0, 60, 1])
    with pytest.raises(LCMemError, match=r"nobody\.png"):
        privacy(shown, against=[*shown[:2], "nobody.png"])


def test_a_detector_without_a_head_filters_too(real, strangers):
    found = PrivacyFilter(lcmem.load_detector("ncc"), real, threshold=0.99)([real.paths[3], strangers[0]])
    assert list(found.novel) == [False, True]
    assert found.table["probability"].isna().all()


def test_bad_thresholds(compact, real):
    with pytest.raises(LCMemError, match="not both"):
        PrivacyFilter(compact, real, threshold=0.5, calibration=Thresholds(given_calibration(0.0, 0.0, None), 1.0))
    with pytest.raises(LCMemError, match="between 0 and 1"):
        PrivacyFilter(compact, real, threshold=5)
    with pytest.raises(LCMemError, match="the threshold is a number, not 'x'"):
        PrivacyFilter(compact, real, threshold="x")
    for share in (0, "x", None):
        with pytest.raises(LCMemError, match="between 0 and 1"):
            PrivacyFilter(compact, real, false_positive_rate=share)
    with pytest.raises(LCMemError, match="there are no real pictures"):
        PrivacyFilter(compact, [])


def drawer(real, strangers, bad=lambda number, attempt: False):
    """Gives strangers, or real pictures where ``bad``; what is drawn depends on the seed alone."""
    attempts = {int(s): (n, a) for n in range(40) for a in range(1, 9) for s in try_seeds(0, np.array([n]), a)}

    def draw(numbers, seeds):
        found = []
        for number, seed in zip(numbers, seeds, strict=True):
            assert attempts[int(seed)][0] == number
            is_bad = bad(*attempts[int(seed)])
            found.append(load_picture(real.paths[number] if is_bad else strangers[number % len(strangers)], 64))
        return np.stack(found)

    return draw


@pytest.fixture(scope="module")
def safe(privacy, strangers):
    """Strangers that are no chance match of the real set."""
    return [path for path, novel in zip(strangers, privacy(strangers).novel, strict=True) if novel]


def test_matches_are_drawn_again_until_they_are_novel_or_given_up(privacy, real, safe):
    result = generate_private(
        drawer(real, safe, lambda number, attempt: number == 5 or attempt <= number % 3), privacy, 12, max_tries=4
    )
    tries = result.tries.groupby("sample")["attempt"].max()
    assert list(tries) == [4 if number == 5 else number % 3 + 1 for number in range(12)]
    assert result.given_up == [5] and 5 not in result.kept
    assert result.summary["drawn"] == len(result.tries) == int(tries.sum())
    assert "given up" in str(result) and "1 (5)" in str(result)
    assert privacy([picture_of(each).transpose(1, 2, 0) for each in result.kept.values()]).novel.all()


def test_a_sampler_that_only_gives_training_pictures_ends_with_a_report(privacy, real, safe):
    result = generate_private(drawer(real, safe, lambda number, attempt: True), privacy, 6, max_tries=3)
    assert result.kept == {} and result.given_up == [*range(6)]
    assert result.summary["drawn_for_each_kept"] is None and result.summary["drawn"] == 18
    assert "0 kept of 6" in str(result)


def test_another_real_set_is_another_run(compact, privacy, real, safe, tmp_path):
    """Also where no score is too high for the same identity."""
    few = PrivacyFilter(
        compact, real.rows([0, 1, 2]), calibration=Thresholds(given_calibration(np.inf, np.inf, None), np.inf)
    )
    generate_private(drawer(real, safe), few, 2, out=tmp_path / "run")
    other = PrivacyFilter(
        compact, real.rows([3, 4, 5]), calibration=Thresholds(given_calibration(np.inf, np.inf, None), np.inf)
    )
    with pytest.raises(LCMemError, match="another"):
        generate_private(drawer(real, safe), other, 2, out=tmp_path / "run")


def test_another_detector_is_another_run(real, safe, tmp_path):
    """Those that need no weights have no fingerprint, either."""
    draw, place = drawer(real, safe), tmp_path / "run"
    one, other = (PrivacyFilter(name, real, threshold=0.9999) for name in ("ncc", "ssim"))
    generate_private(draw, one, 2, out=place)
    with pytest.raises(LCMemError, match="another run, with another detector"):
        generate_private(draw, other, 2, out=place)
    assert len(generate_private(draw, one, 3, out=place).kept) == 3


def test_batches_change_nothing(privacy, real, safe):
    bad = partial(drawer, real, safe, lambda number, attempt: (number + attempt) % 3 == 0)
    one, all_ = (generate_private(bad(), privacy, 10, batch_size=size) for size in (1, 10))
    pd.testing.assert_frame_equal(one.tries, all_.tries, atol=1e-4)


class Stopped(BaseException):
    """As Ctrl-C."""


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), Stopped()])
def test_killed_or_failing_it_goes_on_to_the_same_result(privacy, real, safe, tmp_path, error):
    calls = []
    draw = drawer(real, safe, lambda number, attempt: number == 5 or attempt <= number % 3)

    def failing(numbers, seeds):
        calls.append(list(numbers))
        if len(calls) == 4:
            raise error
        return draw(numbers, seeds)

    run = partial(generate_private, privacy=privacy, count=12, max_tries=4, batch_size=4, out=tmp_path / "run")
    with pytest.raises((Stopped, LCMemError)) as raised:
        run(failing)
    assert isinstance(error, Stopped) or "out of memory); what was drawn is in" in str(raised.value)
    again = run(failing)
    assert len(calls) == len({(tuple(call)) for call in calls}) + 1, "only the failed batch is drawn again"
    fresh = generate_private(draw, privacy, 12, max_tries=4, batch_size=4)
    pd.testing.assert_frame_equal(again.tries.drop(columns="real"), fresh.tries.drop(columns="real"), atol=1e-4)
    assert sorted(again.kept) == sorted(fresh.kept)
    for number, path in again.kept.items():
        np.testing.assert_array_equal(picture_of(path), picture_of(fresh.kept[number]))
    assert len(run(failing).tries) == len(fresh.tries), "a finished run draws nothing"


def noting(draw, drawn):
    """A sampler that writes down the numbers of what it draws."""

    def noted(numbers, seeds):
        drawn.extend(map(int, numbers))
        return draw(numbers, seeds)

    return noted


def test_more_samples_and_more_tries_of_the_same_run(privacy, real, safe, tmp_path):
    """Only what is new is drawn, and all of it is as if it had been asked for at once."""
    drawn = []
    draw = drawer(real, safe, lambda number, attempt: attempt <= number % 3)
    noted = noting(draw, drawn)

    def run(sampler=noted, out=tmp_path / "run", **changes):
        asked = {"count": 6, "max_tries": 2, "against": real.paths[:6]} | changes
        return generate_private(sampler, privacy, out=out, **asked)

    assert run().given_up == [2, 5]
    drawn.clear()
    more = {"count": 8, "max_tries": 3, "against": real.paths[:8]}
    grown = run(**more)
    assert sorted(drawn) == [2, 5, 6, 7, 7] and not grown.given_up
    pd.testing.assert_frame_equal(grown.tries, run(draw, None, **more).tries, atol=1e-4)
    for other in ({"count": 7, "against": real.paths[:7]}, more | {"max_tries": 2}, {"against": real.paths[1:9]}):
        with pytest.raises(LCMemError, match=r"another (count|max_tries|choice of real pictures)"):
            run(**(more | other))


def test_a_picture_that_was_deleted_is_drawn_again(privacy, real, safe, tmp_path):
    """With the seed of its try, so that it is the same picture; and that is said."""
    drawn = []
    draw = drawer(real, safe, lambda number, attempt: attempt <= number % 3)

    run = partial(generate_private, noting(draw, drawn), privacy, 6, max_tries=4, out=tmp_path)
    before = run()
    pictures = {number: picture_of(path) for number, path in before.kept.items()}
    before.kept[2].unlink()
    before.kept[5].write_bytes(before.kept[5].read_bytes()[:-20])
    drawn.clear()
    with pytest.warns(LCMemWarning, match=r"2 samples are gone or damaged \(2, 5\); they are drawn again"):
        again = run()
    assert drawn == [2, 5], "the try that was kept, and no earlier one"
    pd.testing.assert_frame_equal(again.tries, before.tries, check_exact=False, atol=1e-4)
    assert {number: path.is_file() for number, path in again.kept.items()} == dict.fromkeys(range(6), True)
    for number, path in again.kept.items():
        np.testing.assert_array_equal(picture_of(path), pictures[number])
    assert len(run().kept) == 6 and drawn == [2, 5]


def test_bad_samplers_and_numbers(privacy, safe):
    with pytest.raises(LCMemError, match="3 samples for 2"):
        generate_private(lambda numbers, seeds: np.zeros((3, 8, 8, 3), np.uint8), privacy, 2)
    with pytest.raises(LCMemError, match="at least 1"):
        generate_private(lambda numbers, seeds: [], privacy, 0)
    alone = generate_private(lambda numbers, seeds: Image.open(safe[0]), privacy, 1)
    assert list(alone.kept) == [0], "a picture instead of a list of one"
    with pytest.raises(LCMemError, match="seed at least 0"):
        generate_private(lambda numbers, seeds: [], privacy, 1, seed=-1)
    with pytest.raises(LCMemError, match=r"whole numbers .*not 2\.5"):
        generate_private(lambda numbers, seeds: [], privacy, 2.5)
    yielded = generate_private(lambda numbers, seeds: (Image.open(safe[number]) for number in numbers), privacy, 2)
    assert list(yielded.kept) == [0, 1]
    with pytest.raises(LCMemError, match="no samples, but NoneType, for 2"):
        generate_private(lambda numbers, seeds: None, privacy, 2)
    bright = np.full((2, 3, 64, 64), 1.02, np.float32) - np.linspace(0, 1, 64, dtype=np.float32)
    with pytest.raises(LCMemError, match=r"samples 0 to 1, try 1 \(pictures with values from 0.00 to 1.02: .*clamp"):
        generate_private(lambda numbers, seeds: bright, privacy, 2)


def test_a_run_goes_on_where_scores_are_rounded_otherwise(privacy, real, safe, tmp_path):
    """As on another processor, or with another number of threads."""
    draw, levels = drawer(real, safe), privacy.thresholds.calibration
    generate_private(draw, privacy, 4, out=tmp_path / "run")
    for change, same in ((1e-5, True), (0.1, False)):
        calibration = dataclasses.replace(levels, logit=levels.logit + change)
        moved = dataclasses.replace(privacy.thresholds, calibration=calibration)
        other = PrivacyFilter(privacy.detector, real, calibration=moved)
        with nullcontext() if same else pytest.raises(LCMemError, match=r"another run, with another thresholds \("):
            generate_private(draw, other, 4, out=tmp_path / "run")


def test_samples_are_never_written_among_real_pictures(privacy, real, safe, tmp_path):
    for person, path in enumerate(real.paths[:4]):
        (tmp_path / "real" / f"p{person}").mkdir(parents=True)
        shutil.copy(path, tmp_path / "real" / f"p{person}")
    own = PrivacyFilter(privacy.detector, tmp_path / "real", threshold=0.9999)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for out in ("real/made", "real/p1/made", "link/made"):
        with pytest.raises(LCMemError, match="lies among the real pictures"):
            generate_private(drawer(real, safe), own, 1, out=tmp_path / out)
        assert not (tmp_path / out).exists()
    generate_private(drawer(real, safe), own, np.int64(1), out=tmp_path / "made")
    linked = PrivacyFilter(privacy.detector, tmp_path / "link", threshold=0.9999)
    with pytest.raises(LCMemError, match="lies among the real pictures"):
        generate_private(drawer(real, safe), linked, 1, out=tmp_path / "real" / "made")


@pytest.mark.parametrize("nothing", [0.0, 0.5, np.nan])
@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor, list])
def test_what_shows_nothing_is_drawn_again(privacy, safe, nothing, kind):
    """Black pictures, such as a safety checker gives, and what is not a number; a rate does not count them either."""
    pictures = np.stack([load_levels(path, 64) for path in safe[:2]]).astype(np.float32) / 255

    def draw(numbers, seeds):
        made = pictures[numbers].copy()
        made[numbers > 0] = nothing
        return kind(made)

    found = generate_private(draw, privacy, 2, max_tries=2)
    assert list(found.kept) == [0] and found.given_up == [1] and found.summary["showed_nothing"] == 2
    assert found.summary["matches_at_first_try"] == 0
    if nothing == nothing:
        verdicts = privacy(draw(np.arange(2), None))
        assert verdicts.table["verdict"].tolist() == ["no match", "shows nothing"] and not verdicts.matched.any()
        rate = MemorizationRate(privacy.detector, privacy.real.manifest, calibration=privacy.thresholds)
        rate.update(torch.as_tensor(np.array(draw(np.arange(2), None))))
        assert int(rate.total) == 1


def test_samples_and_real_pictures_of_any_form(privacy, real, safe):
    whole = privacy(safe[:3]).table
    assert privacy(path for path in safe[:3]).table.equals(whole), "what a generator yields"
    halves = torch.stack([torch.from_numpy(load_levels(path, 64)) for path in safe[:3]]).bfloat16() / 255
    assert privacy(halves).table["verdict"].tolist() == privacy(halves.float()).table["verdict"].tolist()
    listed = PrivacyFilter(privacy.detector, real.paths[:4], threshold=0.5)
    assert listed.real.manifest.paths == real.paths[:4]
    assert listed(safe[0], against=real.paths[1]).table["real"].tolist() == [real.paths[1]]
    with pytest.raises(LCMemError, match="are files, not ndarray"):
        PrivacyFilter(privacy.detector, np.zeros((2, 64, 64, 3), np.uint8))
    with pytest.raises(LCMemError, match="are files"):
        PrivacyFilter(privacy.detector, [Image.new("RGB", (64, 64))], threshold=0.5)


@pytest.mark.parametrize("detector", ["phash", "compact-latent"])
def test_a_threshold_that_nothing_reaches_is_refused(real, detector):
    with pytest.raises(LCMemError, match="no two pictures reach the threshold"):
        PrivacyFilter(detector, real.rows(range(3)), threshold=0.99)


def test_samples_go_to_a_folder_of_their_own(privacy, tmp_path):
    (tmp_path / "real" / "ann").mkdir(parents=True)
    (tmp_path / "file").write_text("x")
    for place, words in (("real", "holds other files"), ("file", "a file")):
        with pytest.raises(LCMemError, match=words):
            generate_private(lambda numbers, seeds: [], privacy, 1, out=tmp_path / place)
    assert list((tmp_path / "real").iterdir()) == [tmp_path / "real" / "ann"]


def test_a_full_disk_loses_nothing(privacy, real, safe, tmp_path, monkeypatch):
    from lcmem.generation import tries

    run = partial(generate_private, drawer(real, safe), privacy, 6, batch_size=2, out=tmp_path / "run")
    write, calls = tries.write_table, []

    def full(table, target):
        calls.append(target)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        write(table, target)

    monkeypatch.setattr(tries, "write_table", full)
    with pytest.raises(OSError, match="No space"):
        run()
    assert len(run().kept) == 6


# diffusers


@pytest.fixture(scope="module")
def unconditional():
    torch.manual_seed(0)
    unet = diffusers.UNet2DModel(
        sample_size=32,
        block_out_channels=(8, 16),
        norm_num_groups=4,
        down_block_types=("DownBlock2D",) * 2,
        up_block_types=("UpBlock2D",) * 2,
        layers_per_block=1,
    )
    pipeline = diffusers.DDIMPipeline(unet, diffusers.DDIMScheduler())
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def test_a_real_pipeline_in_five_lines(privacy, unconditional, tmp_path):
    sampler = PipelineSampler(unconditional, num_inference_steps=2)
    result = generate_private(sampler, privacy, 3, max_tries=2, batch_size=2, out=tmp_path)
    assert len(result.kept) == 3 and load_levels(result.kept[0]).shape == (3, 32, 32)
    alone = generate_private(sampler, privacy, 3, max_tries=2, batch_size=3)
    for number in range(3):
        difference = picture_of(result.kept[number]).astype(int) - picture_of(alone.kept[number])
        assert abs(difference).max() <= 1, "a sample depends on its seed alone"


@pytest.fixture(scope="module")
def latent_pipeline(vae):
    torch.manual_seed(0)
    unet = diffusers.UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        norm_num_groups=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=8,
        layers_per_block=1,
        attention_head_dim=2,
    )
    autoencoder = diffusers.AutoencoderKL.from_pretrained(vae)
    pipeline = diffusers.StableDiffusionPipeline(
        vae=autoencoder,
        text_encoder=None,
        tokenizer=None,
        unet=unet,
        scheduler=diffusers.DDIMScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture(scope="module")
def latent_detector(vae):
    torch.manual_seed(0)
    settings = NetworkSettings("convnext_atto", {"patch_size": 1, "dims": [8] * 4, "depths": [1] * 4}, 4, 1, 16)
    encoder = load_encoder(vae)
    return LCMem(SiameseNetwork(settings), encoder, 64, name="own")


def test_latents_are_judged_without_decoding(latent_pipeline, latent_detector, real):
    privacy = PrivacyFilter(latent_detector, real.rows(range(5)), threshold=0.9)
    options = {"prompt_embeds": torch.zeros(1, 4, 8), "guidance_scale": 1.0, "num_inference_steps": 2}
    sampler = PipelineSampler(latent_pipeline, latents=True, height=64, width=64, **options)
    on_latents = privacy.on_latents(latent_pipeline.vae)
    seeds = np.array([1, 2])
    latents = sampler(np.array([0, 1]), seeds)
    pictures = PipelineSampler(latent_pipeline, height=64, width=64, **options)(np.array([0, 1]), seeds)
    decoded = on_latents.pictures(latents)
    for picture, level in zip(pictures, decoded, strict=True):
        assert abs(np.asarray(picture).transpose(2, 0, 1).astype(int) - level).max() <= 1, "scaled as the pipeline does"
    features = latent_detector.network(latents)
    expected = latent_detector.similarities(features, torch.from_numpy(privacy.real.blocks[:])).max(1).values
    np.testing.assert_allclose(on_latents(latents).table["logit"], expected.detach(), atol=1e-4)
    result = generate_private(sampler, on_latents, 3, max_tries=2)
    assert len(result.kept) + len(result.given_up) == 3


def test_latents_of_pictures_are_judged_as_the_pictures(real, strangers):
    detector = LCMem.load("compact-latent")
    privacy = PrivacyFilter(detector, real.rows(range(20)), threshold=0.5)
    squares = np.stack([load_levels(path, detector.size) for path in strangers[:4]])
    latents = detector.encoder.encode(torch.from_numpy(squares).float() / 255)
    on_latents = privacy.on_latents(detector.encoder)(latents).table
    np.testing.assert_allclose(on_latents["logit"], privacy(strangers[:4]).table["logit"], atol=1e-4)


def test_latents_that_do_not_fit_are_refused(privacy, latent_detector, latent_pipeline, real):
    with pytest.raises(LCMemError, match=r"looks at pixels.*compact-latent"):
        privacy.on_latents(latent_pipeline.vae)
    mine = PrivacyFilter(latent_detector, real.rows(range(3)), threshold=0.5)
    with pytest.raises(LCMemError, match="trained on the latents of"):
        mine.on_latents(load_encoder())
    with pytest.raises(LCMemError, match="Linear is no autoencoder"):
        mine.on_latents(torch.nn.Linear(1, 1))
    on_latents = mine.on_latents(latent_pipeline.vae)
    with pytest.raises(LCMemError, match="shape"):
        on_latents(torch.zeros(2, 4, 9, 9))
    with pytest.raises(LCMemError, match="NaN"):
        on_latents(torch.full((1, 4, 8, 8), torch.nan))


def test_pipelines_that_are_not_understood_are_refused(unconditional):
    with pytest.raises(LCMemError, match="no autoencoder"):
        PipelineSampler(unconditional, latents=True)

    class Other:
        def __call__(self, labels):
            """As a pipeline with class labels."""

    with pytest.raises(LCMemError, match="takes neither"):
        PipelineSampler(Other())
    assert PipelineSampler(Other(), of_each={"labels": [1, 2]}).size is None
    with pytest.raises(LCMemError, match="labels has 2 values, but sample 2 is asked for"):
        PipelineSampler(Other(), of_each={"labels": [1, 2]})(np.arange(3), np.arange(3))
    with pytest.raises(LCMemError, match="as many of each"):
        PipelineSampler(Other(), of_each={"labels": [1, 2], "prompt": ["a"]})


def test_the_run_says_what_it_was(privacy, real, safe, tmp_path):
    generate_private(drawer(real, safe), privacy, 2, against=[0, 1], out=tmp_path / "run")
    settings = json.loads((tmp_path / "run" / "run.json").read_text())
    assert settings["against"] == real.paths[:2]
    assert settings["detector"] == f"{privacy.detector.name} {privacy.detector.fingerprint}"

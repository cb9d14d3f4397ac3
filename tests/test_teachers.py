"""Claims: teachers are asked once, a lesson is the loss that it says it is, and the bundled model's recipe trains."""

import json
import os

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from commands import lcmem, lcmem_copied, lcmem_killed_at
from lcmem.detectors.lcmem import LCMem
from lcmem.detectors.registry import load_detector
from lcmem.encoders import load_encoder
from lcmem.errors import LCMemError
from lcmem.latents import build_store
from lcmem.locks import alone_in
from lcmem.pictures.image import load_levels
from lcmem.pictures.manifest import Manifest
from lcmem.training.batches import PairBatches
from lcmem.training.callbacks import read_metrics
from lcmem.training.presets import load_recipe
from lcmem.training.recipe import Teacher
from lcmem.training.sampler import PairSampler
from lcmem.training.start import lay_out, start_network
from lcmem.training.teachers import Aim, Lesson, aim_of, ask, lessons_of, load_teachers, main_directions
from lcmem.training.views import shrink, soft

COMPACT = load_recipe("compact")
SMALL = ["size=64", "stage1.views.side=48", "stage1.batch_size=12", "stage1.chunk=4", "stage1.quota.faces=8"]
SMALL += ["domains.faces=['ORL_faces']", "teachers.faces.datasets=['ORL_faces']", "network.parts=[496, 16]"]
SMALL += ["stage1.steps_per_epoch=4", "stage1.epochs=2", "stage1.lr=1e-4"]

DOMAINS = COMPACT.with_settings(SMALL).domains


@pytest.fixture(scope="module")
def few(orl):
    """Four pictures of each of 9 people to learn from, 3 to judge by; in both splits a dataset without identities."""
    orl = orl.rows([k for k in range(400) if k % 10 < 4])
    number = orl.table["identity"].str[1:].astype(int)
    table = orl.table.assign(split=np.where(number.between(10, 12), "val", "train"))
    table.loc[number.between(13, 16), ["identity", "dataset"]] = ["", "others"]
    table.loc[number == 16, "split"] = "val"
    return Manifest(table[number <= 16].reset_index(drop=True))


@pytest.fixture(scope="module")
def store(few, tmp_path_factory):
    return build_store(few.select(split="train"), load_encoder("pixels"), 64, tmp_path_factory.mktemp("store"))


def test_pixels_are_kept_as_bytes(store):
    levels = np.stack([load_levels(path, 64) for path in store.manifest.paths[:3]])
    assert np.array_equal(store.pictures(np.arange(3)), levels) and store.latents.dtype == np.uint8
    assert torch.equal(store.read(np.arange(3)), torch.from_numpy(levels).float() / 255)
    np.testing.assert_allclose(store.statistics().mean, store.read(np.arange(len(store))).mean((0, 2, 3)), atol=1e-6)


class Counting:
    """A detector, and how many pictures it saw."""

    def __init__(self, name):
        self.detector, self.seen = load_detector(name), 0
        embed = self.detector.embed

        def counted(pictures):
            self.seen += len(pictures)
            return embed(pictures)

        self.detector.embed = counted


def test_a_teacher_is_asked_once_for_each_content(store, tmp_path):
    teacher, rows = Counting("pdq"), np.arange(5, 40)
    teacher.detector.dims  # noqa: B018  # looks at one picture
    before = teacher.seen
    answers = ask(teacher.detector, store, rows[:25], tmp_path, fresh=True)
    assert teacher.seen - before == 25
    answers = ask(teacher.detector, store, rows, tmp_path, fresh=True)
    assert teacher.seen - before == 35, "only those that are new"
    assert np.array_equal(ask(teacher.detector, store, rows, tmp_path, fresh=False), answers)
    expected = load_detector("pdq").features([store.manifest.paths[k] for k in rows])
    np.testing.assert_allclose(answers, expected, atol=1e-6)


def test_two_runs_do_not_ask_into_one_folder_at_once(store, tmp_path, monkeypatch):
    monkeypatch.setattr("lcmem.locks.PATIENCE", 0)
    teacher, rows = load_detector("pdq"), np.arange(5)
    ask(teacher, store, rows, tmp_path, fresh=True)
    (place,) = tmp_path.iterdir()
    with alone_in(place), pytest.raises(LCMemError, match="another lcmem command is at work there"):
        ask(teacher, store, rows, tmp_path, fresh=True)


def test_a_teacher_that_knows_no_picture_is_named(few):
    with pytest.raises(LCMemError, match=r"teachers\.faces: no training picture is of the datasets celeba, celeba64"):
        load_teachers(COMPACT, few, "cpu", False)
    without = COMPACT.with_settings(["teachers.faces=none"])
    assert list(load_teachers(without, few, "cpu", False)) == ["general"]
    with pytest.raises(LCMemError, match=r"teachers\.general\.whole=true, but pdq does not cut out"):
        load_teachers(without.with_settings(["teachers.general.detector=pdq"]), few, "cpu", False)
    with pytest.raises(LCMemError, match=r"teachers\.general: nobody: .* leave it out"):
        load_teachers(without.with_settings(["teachers.general.detector=nobody"]), few, "cpu", False)


def test_main_directions_keep_cosines_and_share_the_variance(rng):
    plane = rng.normal(size=(400, 6)) * [9, 5, 3, 1, 1, 1]
    answers = (plane @ np.linalg.qr(rng.normal(size=(20, 6)))[0].T + rng.normal(size=20)).astype(np.float32)
    mean, directions = main_directions(answers, 6)
    found, centred = (answers - mean) @ directions.T, answers - answers.mean(0)
    np.testing.assert_allclose(found @ found.T, centred @ centred.T, atol=1e-2, rtol=1e-3)
    shares = found.var(0) / found.var()
    assert shares.max() / shares.min() < 40 < 81, "less uneven than the components themselves"
    assert np.array_equal(main_directions(answers, 6)[1], directions), "the same each time"


def test_too_few_pictures_for_the_main_directions(rng):
    with pytest.raises(LCMemError, match="10 pictures with 20 features have no 16 main directions"):
        aim_of(Teacher(detector="x", compress=True), rng.normal(size=(10, 20)).astype("f4"), np.arange(10), 10, 16)


def naive(lesson, centred, pictures):
    """The lesson's two terms, pair by pair."""
    rows = [k for k, picture in enumerate(pictures) if lesson.aim.at[picture] >= 0]
    aims = [lesson.aim.values[lesson.aim.at[pictures[k]]] for k in rows]
    own = [F.normalize(centred[k, lesson.part], dim=0) for k in rows]
    cosines = [F.cosine_similarity(lesson.layer(u), v, dim=0) for u, v in zip(own, aims, strict=True)]
    gaps = [(own[i] @ own[j] - aims[i] @ aims[j]) ** 2 for i in range(len(rows)) for j in range(len(rows)) if i != j]
    return 2 * (1 - torch.stack(cosines)).mean(), 3 * torch.stack(gaps).mean()


@pytest.mark.parametrize("compress", [False, True])
def test_lesson_equals_a_naive_loop(compress):
    torch.manual_seed(0)
    aim = Aim(torch.tensor([0, -1, 1, 2, -1]), F.normalize(torch.randn(3, 6), dim=1))
    lesson = Lesson(Teacher(detector="x", compress=compress, cosine=2, similarity=3), slice(4, 10), aim)
    centred, pictures = torch.randn(7, 12), torch.tensor([3, 1, 0, 2, 4, 2, 0])
    terms = lesson(centred, pictures)
    for found, expected in zip(terms.values(), naive(lesson, centred, pictures), strict=True):
        torch.testing.assert_close(found, expected)
    nobody = lesson(centred.requires_grad_(), torch.tensor([1, 4, 1, 4, 1, 4, 1]))
    assert list(map(float, nobody.values())) == [0, 0], "and no NaN"
    sum(nobody.values()).backward()
    assert centred.grad.abs().sum() == 0 and all(part.grad is not None for part in lesson.parameters())


def test_without_a_weight_there_is_no_term():
    aim = Aim(torch.arange(2), torch.eye(2))
    lesson = Lesson(Teacher(detector="x", cosine=0, similarity=1), slice(0, 3), aim)
    assert list(lesson(torch.randn(2, 3), torch.arange(2))) == ["similarity"] and not list(lesson.parameters())


def test_the_network_begins_as_what_the_untouched_one_says(store, tmp_path):
    recipe = COMPACT.with_settings([*SMALL, "teachers.faces=none"])
    network, _ = start_network(None, recipe, load_encoder("pixels"), store)
    (lesson,) = lessons_of(
        recipe, load_teachers(recipe, store.manifest, "cpu", False), store, tmp_path, fresh=True
    ).values()
    with torch.inference_mode():
        latents = store.read(np.arange(40))
        before = lesson(2 * network.eval()(latents) - 1, torch.arange(40))["cosine"] / recipe.teachers["general"].cosine
        lesson.begin(network)
        after = lesson(2 * network(latents) - 1, torch.arange(40))["cosine"] / recipe.teachers["general"].cosine
    assert after < 0.85 < 0.9 < before, "it sees 64 pixels, the teacher 224"
    untouched = load_detector("efficientnet-lite0").module.state_dict()
    assert all(torch.equal(network.backbone.state_dict()[key], value) for key, value in untouched.items())
    torch.testing.assert_close(network.normalise(latents), 2 * latents - 1)


def test_a_network_that_is_trained_on_learns_what_it_said_before(store, tmp_path):
    names = ["domains.faces=['ORL_faces']", "teachers.faces.datasets=['ORL_faces']"]
    recipe = load_recipe("compact-further").with_settings([*names, "size=64"])
    teachers = load_teachers(recipe, store.manifest, "cpu", False)
    lessons = lessons_of(recipe, teachers, store, tmp_path, fresh=True)
    assert not list(lessons.parameters()), "no layer predicts what it is itself"
    said = load_detector("compact").features(list(store.manifest.paths[:9]))
    terms = {name: lesson(2 * said - 1, torch.arange(9)) for name, lesson in lessons.items()}
    assert float(terms["faces"]["similarity"].detach()) == pytest.approx(0, abs=1e-4)
    assert float(terms["general"]["cosine"].detach()) == pytest.approx(0, abs=1e-4)
    other = recipe.with_settings(["teachers.general.detector=compact-latent"])
    with pytest.raises(LCMemError, match=r"teachers\.general\.own=true"):
        lessons_of(other, load_teachers(other, store.manifest, "cpu", False), store, tmp_path, fresh=True)


def test_domains_quota_and_negatives(few):
    stage = COMPACT.with_settings(SMALL).stage1
    sampler = PairSampler(few.select(split="train"), stage, 0, DOMAINS)
    faces = (sampler.domain == sampler.domain[0]) & (few.select(split="train").table["dataset"] == "ORL_faces")
    for number in range(5):
        first, second, _ = sampler.batch(number)
        assert (faces[first].sum(), (~faces[first]).sum()) == (8, 4)
        assert (sampler.domain[first] == sampler.domain[second]).all()
    one = PairSampler(few.select(split="train"), stage, 0, DOMAINS | {"faces": ["ORL_faces", "others"]})
    assert len(set(one.domain)) == 1, "one domain by name, though they share nobody"
    with pytest.raises(LCMemError, match=r"'cats' is neither a domain of the recipe nor a dataset of the manifest"):
        PairSampler(few, stage.model_copy(update={"quota": {"cats": 3}}), 0, DOMAINS)


def test_views_are_edits_of_their_pictures_by_the_number_of_the_batch(store):
    stage = COMPACT.with_settings(
        [*SMALL, "stage1.views.strong=0", "stage1.views.plain=1", "stage1.views.strong_in=none"]
    ).stage1
    sampler = PairSampler(store.manifest, stage, 0, DOMAINS)
    batches = PairBatches(store, sampler, range(3))
    batch, again = batches.batch(1), batches.batch(1)
    assert all(torch.equal(a, b) for a, b in zip(batch, again, strict=True))
    assert batch.first.shape == batch.second.shape == (12, 3, 48, 48) and batch.first.dtype == torch.uint8
    small = F.interpolate(torch.from_numpy(store.pictures(batch.picture[:, 0].numpy())).float(), 48, mode="area")
    assert (batch.first.float() - small).abs().mean() < 6, "the first are not edited here"
    own = (batch.picture[:, 0] == batch.picture[:, 1]).float()
    assert batch.single.float().sum() <= own.sum() < 12
    halves = [PairBatches(store, sampler, range(3), rank, 2).batch(1) for rank in (0, 1)]
    assert torch.equal(
        torch.cat([half.picture for half in halves]), torch.cat((batch.picture[::2], batch.picture[1::2]))
    )


def test_soft_views_keep_the_picture_and_lose_its_detail(store):
    def detail(picture):
        return float((picture.astype(float) - cv2.GaussianBlur(picture, (0, 0), 1.5)).std())

    rng, lost = np.random.default_rng(0), []
    for picture in store.pictures(np.arange(12)).transpose(0, 2, 3, 1):
        square = np.ascontiguousarray(picture)
        plain, seen = shrink(square, 48), soft(rng, square, 48)
        coarse = [
            cv2.resize(each, (6, 6), interpolation=cv2.INTER_AREA).astype(float).ravel() for each in (plain, seen)
        ]
        assert np.corrcoef(*coarse)[0, 1] > 0.6
        lost.append(detail(seen) / detail(plain))
    assert np.mean(lost) < 0.8


def test_every_depthwise_convolution_stays_in_float32(store):
    network, _ = start_network(None, COMPACT.with_settings([*SMALL]), load_encoder("pixels"), store)
    seen = []
    for module in network.backbone.modules():
        if isinstance(module, torch.nn.Conv2d) and module.groups > 1:
            module.register_forward_hook(lambda module, inputs, output: seen.append((module.stride, output.dtype)))
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert network(store.read(np.arange(2))).dtype == torch.float32
    assert {stride for stride, _ in seen} == {(1, 1), (2, 2)} and {dtype for _, dtype in seen} == {torch.float32}
    state = network.state_dict()
    lay_out(network)
    assert network.state_dict().keys() == state.keys()


def command(manifest, out, *more):
    arguments = ["train", "compact", "--data", str(manifest), "--out", str(out), "--checkpoint-every", "3", *more]
    for setting in SMALL:
        arguments += ["--set", setting]
    return arguments


@pytest.fixture(scope="module")
def whole(few, one_thread, tmp_path_factory):
    """A run without interruption, and its manifest."""
    folder = tmp_path_factory.mktemp("whole")
    few.write(folder / "few.csv")
    assert lcmem(*command(folder / "few.csv", folder / "run")).returncode == 0
    return folder


def test_two_teachers_and_an_interruption(whole, tmp_path):
    """EfficientNet-Lite0 from ImageNet weights, SFace and its untouched self as teachers, on faces."""
    words = command(whole / "few.csv", tmp_path / "run", "--teachers", str(whole / "run" / "teachers"))
    latest = tmp_path / "run" / "resume" / "stage1" / "latest.ckpt"
    lcmem_killed_at(latest, *words)
    assert torch.load(latest, weights_only=True)["global_step"] % 4, "in the middle of an epoch"
    assert lcmem(*words).returncode == 0
    mine, reference = (json.loads((at / "run/stage1/card.json").read_text()) for at in (tmp_path, whole))
    assert mine["sha256"] == reference["sha256"], "the same weights, to the last bit"
    assert not (tmp_path / "run" / "teachers").exists(), "nobody was asked twice"


def test_the_run_knows_its_origins(whole):
    card = json.loads((whole / "run/stage1/card.json").read_text())
    (record,) = card["training"]
    assert record["pretrained"]["licence"] == "Apache-2.0" and record["pretrained"]["weights"] == "efficientnet-lite0"
    assert [teacher["weights"] for teacher in record["teachers"]] == ["sface-celeba", "efficientnet-lite0"]
    metrics = read_metrics(whole / "run/logs/stage1")
    names = {"nt_xent", "faces_cosine", "faces_similarity", "general_cosine", "val_score"}
    assert names <= set(metrics) and metrics[sorted(names)].dropna(how="all").notna().any().all()
    detector = LCMem.load(whole / "run/stage1")
    assert detector.head is not None, "features of parts are compared by the head"
    assert 0 < record["head_loss"] < np.log(2), "the head is fitted on val"
    assert detector.network.gain.weight.abs().max() > 0
    weights = detector.network.head.weight.detach().split(COMPACT.with_settings(SMALL).network.parts)
    assert float(weights[0].sum() / weights[1].sum()) == pytest.approx(4, rel=1e-3), "as head_shares say"


def test_averaged_weights_and_frozen_norm(whole):
    best = torch.load(whole / "run/resume/stage1/best.ckpt", weights_only=True)["state_dict"]
    detector = LCMem.load(whole / "run/stage1").network.state_dict()
    kernel = "backbone.conv_stem.weight"
    torch.testing.assert_close(detector[kernel], best[f"averaged.module.{kernel}"], atol=1e-3, rtol=1e-3)
    assert not torch.equal(best[f"network.{kernel}"], best[f"averaged.module.{kernel}"])
    untouched = load_detector("efficientnet-lite0").module.state_dict()
    norms = [key for key in untouched if key.endswith("running_var")]
    assert all(torch.equal(best[f"network.backbone.{key}"], untouched[key]) for key in norms)
    for key in norms:  # kept in half precision
        torch.testing.assert_close(detector[f"backbone.{key}"], untouched[key], atol=1e-4, rtol=1e-3)


def test_two_processes_with_frozen_norm(whole, tmp_path):
    """One for each core; the answers of teachers and the latents are made by the first alone."""
    arguments = ["--devices", "2", "--workers", "0", "--teachers", str(whole / "run" / "teachers")]
    started = lcmem_copied(*command(whole / "few.csv", tmp_path / "run", *arguments))
    assert os.waitstatus_to_exitcode(os.waitpid(started, 0)[1]) == 0
    logs = [read_metrics(at / "run/logs/stage1")["general_cosine"].dropna() for at in (tmp_path, whole)]
    assert len(logs[0]) == len(logs[1]) and np.isfinite(logs[0]).all()
    assert not (tmp_path / "run" / "teachers").exists()

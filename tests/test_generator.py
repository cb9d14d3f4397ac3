"""Generators train, resume exactly and sample; conditionings are what the paper says."""

import signal

import numpy as np
import pandas as pd
import pytest
import torch

from lcmem.encoders import load_encoder
from lcmem.errors import LCMemError
from lcmem.generation.diffusion.batches import Batches
from lcmem.generation.diffusion.conditions import STRATEGIES, Knowledge, conditions, label_matrix, learn
from lcmem.generation.diffusion.settings import Classifier, Generator, Unet
from lcmem.generation.diffusion.training import FINISHED, LATEST, DiffusionTraining, draw_latents, train_generator
from lcmem.latents import build_store
from lcmem.training.fit import RunOptions

SETTINGS = Generator(
    unet=Unet(width=8, multipliers=[1, 1], blocks=1), steps=14, batch_size=8, look_every=5, precision="32-true"
)


@pytest.fixture(scope="module")
def store(orl, tmp_path_factory):
    used = orl.rows(range(0, 200, 2))
    labels = ["a" if path.endswith(("1.pgm", "3.pgm")) else "b" for path in used.paths]
    labelled = type(used)(used.table.assign(label=labels))
    return build_store(labelled, load_encoder(), 64, tmp_path_factory.mktemp("store"))


def condition_of(store, length=3):
    return np.random.default_rng(0).normal(size=(len(store), length)).astype(np.float32)


class StoppedError(Exception):
    """As a kill."""


@pytest.mark.parametrize("at", [3, 6, 13])
def test_an_interrupted_training_ends_with_the_same_weights(store, tmp_path, monkeypatch, at):
    where, condition = RunOptions(checkpoint_every=2), condition_of(store)
    whole = train_generator(store, condition, SETTINGS, tmp_path / "whole", where=where)
    step, calls = DiffusionTraining.training_step, []

    def failing(self, batch, index):
        calls.append(self.global_step)
        if len(calls) == at:
            raise StoppedError
        return step(self, batch, index)

    monkeypatch.setattr(DiffusionTraining, "training_step", failing)
    with pytest.raises(StoppedError):
        train_generator(store, condition, SETTINGS, tmp_path / "killed", where=where)
    again = train_generator(store, condition, SETTINGS, tmp_path / "killed", where=where)
    assert calls[at] > 0, "it went on, it did not begin anew"
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    assert (tmp_path / "killed" / "loss.png").is_file() and not (tmp_path / "killed" / LATEST).exists()
    monkeypatch.setattr(DiffusionTraining, "training_step", None)
    train_generator(store, condition, SETTINGS, tmp_path / "killed", where=where)  # a finished one is loaded


def test_ctrl_c_reaches_the_caller(store, tmp_path, monkeypatch):
    def interrupted(self, batch, index):
        raise KeyboardInterrupt

    monkeypatch.setattr(DiffusionTraining, "training_step", interrupted)
    before = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(KeyboardInterrupt):
            train_generator(store, condition_of(store), SETTINGS, tmp_path)
    finally:
        signal.signal(signal.SIGINT, before)  # Lightning ignores the signal from then on


def test_average_and_guide(store, tmp_path):
    found = train_generator(store, condition_of(store), SETTINGS, tmp_path)
    weights = [dict(part.named_parameters()) for part in (found.network, found.average, found.guide)]
    name = "unet.conv_in.weight"
    now, mean, early = (part[name] for part in weights)
    assert not torch.equal(now, mean) and not torch.equal(mean, early)
    assert (now - mean).norm() < (now - early).norm(), "the guide is older than the average"


def test_a_loss_that_is_no_number_is_said(store, tmp_path):
    wild = SETTINGS.model_copy(update={"lr": 1e30})
    with pytest.raises(LCMemError, match=r"the loss is (nan|inf) at step .* lower lr"):
        train_generator(store, condition_of(store), wild, tmp_path)
    assert not (tmp_path / FINISHED).exists()


def test_a_damaged_generator_is_said(store, tmp_path):
    (tmp_path / FINISHED).write_bytes(b"half")
    with pytest.raises(LCMemError, match="damaged"):
        train_generator(store, condition_of(store), SETTINGS, tmp_path)


def test_devices_share_a_batch_without_gap_or_overlap(store):
    condition = condition_of(store)
    whole = Batches(store, condition, SETTINGS, range(3), 0, 1).batch(2)
    parts = [Batches(store, condition, SETTINGS, range(3), rank, 2).batch(2) for rank in (0, 1)]
    for name in whole._fields:
        halves = torch.stack([getattr(part, name) for part in parts], 1).flatten(0, 1)
        assert torch.equal(getattr(whole, name), halves)


def test_it_learns_and_follows_its_condition(store, tmp_path):
    """Two clusters of pictures, told apart by the condition: samples of each are nearest to their own."""
    settings = Generator(
        unet=Unet(width=16, multipliers=[1, 1], blocks=1), steps=100, batch_size=32, look_every=100, lr=3e-3,
        precision="32-true", guidance=1.0,
    )  # fmt: skip
    few = store.rows(np.array([0, 50]))
    condition = np.array([[1.0, -1.0], [-1.0, 1.0]], dtype=np.float32)
    module = train_generator(few, condition, settings, tmp_path)
    clean = few.read(np.arange(2), normalise=True)
    made = draw_latents(module, condition.repeat(4, 0), np.arange(8), few.shape, steps=12)
    distances = torch.cdist(made.flatten(1), clean.flatten(1))
    assert (distances.argmin(1) == torch.tensor([0] * 4 + [1] * 4)).all()
    start = draw_latents(module, condition, np.arange(2), few.shape, steps=8, start=clean, sigma_max=0.1)
    assert (start - clean).square().mean() < 0.1**2, "noised a little and denoised it is nearly the picture"


def test_samples_depend_on_their_own_seed_alone(store, tmp_path):
    module = train_generator(store, condition_of(store), SETTINGS, tmp_path)
    condition, seeds = condition_of(store)[:3], np.array([5, 6, 7])
    together = draw_latents(module, condition, seeds, store.shape, steps=3)
    alone = draw_latents(module, condition[1:2], seeds[1:2], store.shape, steps=3)
    torch.testing.assert_close(together[1:2], alone, atol=1e-4, rtol=1e-4)


# conditionings


@pytest.fixture
def known(rng):
    labels = np.eye(6, dtype=np.float32)[rng.integers(6, size=4000)]
    predictions = rng.random((5, 4000, 6)).astype(np.float32)
    return Knowledge(labels, list("abcdef"), predictions, rng.integers(5, size=4000))


def test_the_five_strategies(known):
    own = known.predictions[known.fold[7], 7]
    assert np.array_equal(STRATEGIES["Prediction"](known)[7], own)
    assert np.array_equal(STRATEGIES["Prediction + Label"](known)[7], [*own, *known.labels[7]])
    mean = known.predictions[:, 7].mean(0)
    np.testing.assert_allclose(STRATEGIES["Ensemble"](known)[7], mean)
    np.testing.assert_allclose(STRATEGIES["Ensemble + Label"](known)[7], [*mean, *known.labels[7]])
    noise = STRATEGIES["Label + Noise"](known) - known.labels
    wanted = np.median(np.linalg.norm(known.own - known.labels, axis=1))
    assert np.median(np.linalg.norm(noise, axis=1)) == pytest.approx(wanted, rel=0.03)
    for name in STRATEGIES:
        values = conditions(name, known)
        assert values.dtype == np.float32 and np.array_equal(values, conditions(name, known))
        np.testing.assert_allclose(np.linalg.norm(values, axis=1), values.shape[1] ** 0.5, rtol=1e-5)


def test_labels_are_apart_for_each_dataset():
    table = pd.DataFrame({"dataset": ["x", "x", "y"], "label": ["a|b", "", "a"]})
    labels, names = label_matrix(table)
    assert names == ["x:a", "x:b", "y:a"] and labels.tolist() == [[1, 1, 0], [0, 0, 0], [0, 0, 1]]
    with pytest.raises(LCMemError, match="no column 'label'"):
        label_matrix(table[["dataset"]])
    with pytest.raises(LCMemError, match="at least 2"):
        label_matrix(table.assign(label="a", dataset="x"))


def test_classifiers_never_train_on_what_they_say_and_resume(store, tmp_path, monkeypatch):
    settings = Classifier(epochs=2, width=8, lr=1e-3)
    first = learn(store, settings, tmp_path)
    identities = np.array(store.manifest.identities)
    for identity in set(identities):
        assert len(set(first.fold[identities == identity])) == 1, "the pictures of a person are in one fold"
    assert first.predictions.shape == (5, len(store), 2) and np.ptp(first.predictions) > 0
    (tmp_path / "fold3.npy").unlink()
    again = learn(store, settings, tmp_path)
    np.testing.assert_allclose(again.predictions, first.predictions, atol=1e-5)
    monkeypatch.setattr("lcmem.generation.diffusion.conditions._train", None)
    learn(store, settings, tmp_path)
    with pytest.raises(LCMemError, match="too few for 5 folds"):
        learn(store.rows(np.arange(10)), settings, tmp_path / "few")

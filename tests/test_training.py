"""Claims: batches are what the sampler promises; a real, tiny training of both stages separates people it never saw."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from lcmem import locks
from lcmem.augment import Augmentation
from lcmem.cli.stopping import Terminated
from lcmem.datasets import hash_split
from lcmem.detectors.lcmem import LCMem
from lcmem.encoders import load_encoder
from lcmem.errors import CheckpointError, LCMemError, LCMemWarning
from lcmem.latents import build_store
from lcmem.model import SiameseNetwork
from lcmem.pairs import identity_pairs
from lcmem.pictures.image import load_levels
from lcmem.pictures.manifest import Manifest
from lcmem.stats.roc import auc
from lcmem.training.autoencoder import AutoencoderTraining, train_autoencoder
from lcmem.training.batches import PairBatches
from lcmem.training.callbacks import read_metrics
from lcmem.training.fit import BestEpoch, RunOptions, check_state, fit
from lcmem.training.module import StageTraining
from lcmem.training.presets import load_recipe
from lcmem.training.recipe import AutoencoderRecipe
from lcmem.training.record import check_splits
from lcmem.training.run import train
from lcmem.training.sampler import PairSampler, domains
from lcmem.training.stage import Stage
from lcmem.training.start import lay_out, precision_for
from lcmem.training.validation import copy_list, reid_list

PAPER, SMALL = load_recipe("paper"), load_recipe("small")


def table(rows):
    frame = pd.DataFrame(rows, columns=["identity", "dataset"])
    return Manifest(frame.assign(path=[f"{k}.png" for k in range(len(frame))], split="train"))


def stage_of(batch_size, chunk, **settings):
    """A stage that says how pairs are drawn; it mirrors, so that a single picture makes a pair."""
    return Stage(epochs=1, lr=1, batch_size=batch_size, chunk=chunk, **{"mirror": True, **settings})


@pytest.fixture
def mixed():
    """Two face sets that share people, scans, and a set without identities."""
    rows = [(f"p{k // 3}", "faces" if k % 2 else "faces64") for k in range(60)]
    rows += [(f"q{k // 2}", "scans") for k in range(20)] + [("", "photos")] * 30
    return table(rows)


def test_datasets_that_share_identities_are_one_domain(mixed):
    codes = domains(mixed, {})
    names = mixed.table["dataset"].to_numpy()
    assert set(codes[names == "faces"]) == set(codes[names == "faces64"])
    assert len(set(codes)) == 3


def test_batches(mixed):
    sampler = PairSampler(mixed, stage_of(16, 8), 0)
    identities, codes = np.array(mixed.identities), domains(mixed, {})
    for number in range(30):
        first, second, labels = sampler.batch(number)
        assert len(first) == 16 and (identities[first] == identities[second]).all()
        single = mixed.table["dataset"].to_numpy()[first] == "photos"
        assert ((first != second) | single).all(), "two pictures wherever there are two"
        assert set(np.bincount(codes[first], minlength=3)) <= {0, 8, 16}, "a chunk is from one domain"
        for code in set(codes[first]):
            mine = labels[codes[first] == code]
            available = len(set(np.array(mixed.identities)[codes == code]))
            assert len(set(mine)) == min(len(mine), available), "none twice before each was drawn once"
        again = PairSampler(mixed, stage_of(16, 8), 0).batch(number)
        assert all(np.array_equal(a, b) for a, b in zip((first, second, labels), again, strict=True))


def test_identities_of_a_domain_are_drawn_evenly():
    sampler = PairSampler(table([(f"p{k % 10}", "faces") for k in range(40)]), stage_of(4, 4), 0)
    drawn = np.bincount(np.concatenate([sampler.batch(number)[2] for number in range(500)]))
    assert len(drawn) == 10 and drawn.min() > 150 and drawn.max() < 250


def test_small_domains_are_oversampled(mixed):
    sampler = PairSampler(mixed, stage_of(16, 8), 0)
    names = mixed.table["dataset"].to_numpy()
    drawn = np.concatenate([names[sampler.batch(number)[0]] for number in range(200)])
    share = (drawn == "scans").mean()
    assert share > 20 / 110 * 1.3, "more often than their share of the pictures"


def test_unsupervised_mode_uses_no_identities(mixed):
    sampler = PairSampler(mixed, stage_of(64, 1, positives="augmentation"), 0)
    first, second, labels = sampler.batch(0)
    assert np.array_equal(first, second) and np.array_equal(first, labels)


def test_too_few_identities():
    with pytest.raises(LCMemError, match="2 identities are too few"):
        PairSampler(table([("a", "d"), ("a", "d"), ("b", "d")]), stage_of(4, 4), 0)


TINY = ["size=128", "stage1.epochs=3", "stage1.steps_per_epoch=15", "stage1.batch_size=24", "stage1.chunk=24"]
TINY += ["stage2.epochs=1", "stage2.steps_per_epoch=5", "stage2.batch_size=24", "stage2.chunk=24"]


@pytest.fixture(scope="module")
def run(people, tmp_path_factory):
    """A minute of both stages on 26 people, on the bundled encoder's latents."""
    folder = tmp_path_factory.mktemp("run")
    return folder, train(SMALL.with_settings(TINY), people, folder)


@pytest.mark.parametrize("stage", [1, 2])
def test_a_short_training_separates_people_never_seen(run, people, stage):
    detector = LCMem.load(run[0] / f"stage{stage}")
    test = people.select(split="test")
    pairs = identity_pairs(test)
    u = detector.features(test.paths)
    assert auc(detector.logits(u[pairs.first], u[pairs.second]).numpy(), pairs.same) > 0.8


def test_run_folder_remembers_everything(run, people):
    folder, target = run
    assert target == folder / "stage2"
    card = json.loads((target / "card.json").read_text())
    assert [record["stage"] for record in card["training"]] == [1, 2]
    assert card["training_data"] == [{"dataset": "ORL_faces", "pictures": 260, "identities": 26}]
    assert card["encoder"]["sha256"] == load_encoder().card.sha256
    assert card["training"][0]["recipe"]["epochs"] == 3
    assert {record["precision"] for record in card["training"]} == {precision_for("auto", "cpu")}
    assert (folder / "curves.png").stat().st_size > 10_000
    metrics = read_metrics(folder / "logs" / "stage1")
    assert metrics["loss"].dropna().iloc[-1] < metrics["loss"].dropna().iloc[0]
    assert len(metrics["val_score"].dropna()) == 3
    assert list((folder / "logs" / "stage1").rglob("events.out.tfevents*")), "TensorBoard"


def test_a_finished_run_is_left_as_it_is(run, people):
    before = (run[1] / "model.safetensors").stat().st_mtime_ns
    assert train(SMALL.with_settings(TINY), people, run[0]) == run[1]
    assert (run[1] / "model.safetensors").stat().st_mtime_ns == before


def _copied(paths, folder):
    """Paths of copies of pictures."""
    return [str(shutil.copy(path, folder / f"{number}.pgm")) for number, path in enumerate(paths)]


def test_a_folder_holds_one_run(run, people, tmp_path, monkeypatch):
    with pytest.raises(LCMemError, match=r"another recipe \(stage1\.lr is"):
        train(SMALL.with_settings([*TINY, "stage1.lr=0.5"]), people, run[0])
    with pytest.raises(LCMemError, match="other pictures, identities or splits"):
        train(SMALL.with_settings(TINY), people.rows(range(340)), run[0])
    recipe, shown = SMALL.with_settings(TINY), Manifest(people.table.assign(path=_copied(people.paths, tmp_path)))
    assert train(recipe, shown, run[0]) == run[1], "the same pictures, wherever they are"
    Path(shown.paths[0]).write_bytes(Path(shown.paths[-1]).read_bytes())
    with pytest.raises(LCMemError, match="some files have changed or are gone"):
        train(recipe, shown, run[0])
    monkeypatch.setattr(locks, "PATIENCE", 0.05)
    with locks.alone_in(run[0]), pytest.raises(LCMemError, match="another lcmem command is at work"):
        train(SMALL.with_settings(TINY), people, run[0])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("network.backbone=convnext_attoo", "timm knows no such network; convnext_atto"),
        ("network.options={foo=1}", "cannot be built as network says: .*foo"),
        ("network.unshuffle=3", "network.unshuffle=3 does not divide latents of 16×16"),
        ("size=32", r"cannot take latents of \(4, 4, 4\).*take a larger size than 32"),
    ],
)
def test_a_network_that_does_not_fit_is_refused_before_anything_is_written(people, tmp_path, setting, message):
    with pytest.raises(LCMemError, match=message):
        train(SMALL.with_settings([*TINY, setting]), people, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_pictures_to_validate_on_that_are_trained_on_are_said(people, tmp_path):
    table = people.select(split="train").table.iloc[:60]
    both = pd.concat([table, table.iloc[:20].assign(split="val", identity="again " + table["identity"].iloc[:20])])
    both["path"] = _copied(both["path"], tmp_path)
    settings = ["size=128", "stage1.epochs=1", "stage1.steps_per_epoch=1", "stage1.batch_size=8", "stage2=none"]
    recipe, data = SMALL.with_settings(settings), Manifest(both.reset_index(drop=True))
    with pytest.warns(LCMemWarning, match="20 pictures of val are files of train as well"):
        train(recipe, data, tmp_path / "run")
    (tmp_path / "run" / "stage1" / "model.safetensors").unlink()
    (tmp_path / "run" / "resume" / "stage1" / "best.ckpt").unlink()
    with pytest.warns(LCMemWarning), pytest.raises(LCMemError, match=r"best\.ckpt: gone; delete .* begins again"):
        train(recipe, data, tmp_path / "run")


def test_start_from_another_recipes_checkpoint(run, people, tmp_path):
    with pytest.raises(CheckpointError, match=r"another recipe: network\.features is 512 there and 64 here"):
        train(SMALL.with_settings([*TINY, f"start_from={run[1]}", "network.features=64"]), people, tmp_path / "a")
    tiny = {"depths": [1, 1, 1, 1], "dims": [8, 8, 8, 8]}
    settings = [f"network.options.{key}={value}" for key, value in tiny.items()]
    with pytest.raises(CheckpointError, match=r"another recipe: network\.options"):
        train(SMALL.with_settings([*TINY, f"start_from={run[1]}", *settings]), people, tmp_path / "b")
    with pytest.raises(CheckpointError, match="of another recipe: its encoder"):
        other = ["encoder=pixels", "network.unshuffle=2", f"start_from={_as_pixels(run[1], tmp_path)}"]
        train(SMALL.with_settings([*TINY, *other]), people, tmp_path / "c")


def _as_pixels(folder, tmp_path):
    """The same network, but with three input channels, on the bundled encoder."""
    network = SiameseNetwork(SMALL.network.settings(3))
    return LCMem(network, load_encoder(), 128, name="odd").save(tmp_path / "odd")


def test_identity_in_two_splits(people, tmp_path):
    split = people.table["split"].where(people.table.index != 3, "val")
    with pytest.raises(LCMemError, match="more than one split"):
        train(SMALL, Manifest(people.table.assign(split=split)), tmp_path)


def test_no_validation_split(people, tmp_path):
    with pytest.raises(LCMemError, match="split='val'"):
        train(SMALL, people.select(split="train"), tmp_path)


@pytest.fixture(scope="module")
def store(people, tmp_path_factory):
    part = people.rows(range(0, 400, 4))
    return build_store(part, load_encoder(), 64, tmp_path_factory.mktemp("store"), mirror=True)


def test_no_pair_is_the_same_latent_twice(store):
    """Pictures without identity, in a stage that mirrors, one that changes latents, and one that does nothing."""
    names = store.manifest.table["identity"].where(store.manifest.table["identity"] < "s3", "")
    half = replace(store, manifest=Manifest(store.manifest.table.assign(identity=names)))
    plain = Stage(epochs=1, lr=1, batch_size=64)
    mirrored = batches(half, plain.model_copy(update={"mirror": True})).batch(0)
    assert mirrored.single.any() and not mirrored.single.all()
    assert (mirrored.first != mirrored.second).flatten(1).any(1).all()
    assert not batches(half, plain).batch(0).single.any(), "left out where nothing would differ"
    changed = PAPER.stage1.model_copy(update={"batch_size": 64})
    batch, module = batches(half, changed).batch(0), bare_module(half, changed)
    first, second = module._changed(torch.cat((batch.first, batch.second)), batch.single).chunk(2)
    assert torch.equal(first, batch.first) and (first != second).flatten(1).any(1).all()
    differ = (second != batch.second).flatten(1).any(1)
    assert torch.equal(differ, batch.single), "pairs of two pictures stay as they are"


def bare_module(store, stage, recipe=SMALL):
    network = SiameseNetwork(SMALL.network.settings(4))
    return StageTraining(network, recipe, stage, load_encoder(), store, {})


def test_unsupervised_with_nothing_that_changes(store):
    stage = Stage(epochs=1, lr=1, batch_size=8, positives="augmentation")
    with pytest.raises(LCMemError, match=r"0 identities are too few .* set mirror=true"):
        PairSampler(store.manifest, stage, 0)


@pytest.fixture(scope="module")
def uneven(people, tmp_path_factory):
    """A validation set in two parts without a name and with one, of which one has a single identity."""
    kept = [k for k, name in enumerate(people.table["identity"]) if int(name[1:]) in (1, 2, 3, 27, 28, 29)]
    table = people.rows(kept).table
    table["dataset"] = np.where(table["identity"] == "s29", "one", "")
    return build_store(Manifest(table), load_encoder(), 128, tmp_path_factory.mktemp("uneven"))


@torch.no_grad()
def test_datasets_of_one_identity_are_not_judged_and_one_without_a_name_is(uneven):
    network = SiameseNetwork(SMALL.network.settings(4)).eval()
    held_out = uneven.select(split="val")
    for pairs in (reid_list(held_out, "fixed"), copy_list(held_out, load_encoder())):
        bce, values = pairs.scores(network, network.head)
        assert 0 < bce < 20 and all(0 <= value <= 1 for value in values.values())
        assert "" in values, "the dataset without a name has its own value"
    assert set(reid_list(held_out, "fixed").scores(network, network.head)[1]) == {""}


def test_training_goes_on_with_a_dataset_that_cannot_be_judged(uneven, tmp_path):
    tiny = ["size=128", "stage1.mirror=false", "stage1.epochs=2", "stage1.steps_per_epoch=1", "stage1.batch_size=4"]
    train(SMALL.with_settings([*tiny, "stage1.chunk=4", "stage2=none"]), uneven, tmp_path)
    assert json.loads((tmp_path / "stage1/card.json").read_text())["training"][0]["epochs"] == 2


def test_a_validation_split_that_cannot_judge(people, tmp_path):
    split = people.table["split"].where(
        people.table["identity"].isin(["s27", *(f"s{k}" for k in range(1, 27))]), "test"
    )
    with pytest.raises(LCMemError, match="'val' cannot judge a training: no dataset in it"):
        train(SMALL, Manifest(people.table.assign(split=split)), tmp_path)
    assert not list(tmp_path.iterdir()), "said before anything is written"


def test_validation_sees_what_the_detector_will(uneven):
    """Training normalises by dataset, the detector by the mix."""
    module = bare_module(uneven.select(split="train"), SMALL.stage1, SMALL.with_settings(["normalise=dataset"]))
    module.network.eval().mean.fill_(0.3)
    seen = []

    class Recording:
        def scores(self, embed, head):
            seen.append(embed(uneven.read(np.arange(3))))
            return 0.0, {"": 1.0}

    module.validation = {"reid": Recording()}
    module.log = module.log_dict = lambda *args, **options: None
    module.on_validation_epoch_end()
    detector = LCMem(module.network, load_encoder(), 128, name="x")
    assert torch.equal(seen[0], detector.network(uneven.read(np.arange(3))))


def test_batch_norm_is_not_shared_among_processes_on_a_cpu(store, tmp_path):
    normed = SMALL.network.model_copy(update={"backbone": "resnet10t", "options": {}})
    recipe = SMALL.model_copy(update={"network": normed})
    network = SiameseNetwork(recipe.network.settings(4))
    module = StageTraining(network, recipe, recipe.stage1, load_encoder(), store, {})
    sampler = PairSampler(store.manifest, recipe.stage1, 0)
    with pytest.raises(LCMemError, match="resnet10t has batch norm, which several devices can share on CUDA only"):
        fit(module, store, sampler, 1, tmp_path, RunOptions(devices=2))


def test_latents_of_another_size_or_encoder(store, people, tmp_path):
    with pytest.raises(LCMemError, match="holds latents of"):
        train(SMALL, store, tmp_path / "a")
    with pytest.raises(LCMemError, match="holds latents of"):
        train(SMALL.with_settings(["encoder=pixels", "size=64"]), store, tmp_path / "b")


def batches(store, stage, **share):
    return PairBatches(store, PairSampler(store.manifest, stage, 0), range(4), **share)


def test_devices_share_each_batch(store):
    whole = batches(store, SMALL.stage1).batch(1)
    halves = [batches(store, SMALL.stage1, rank=rank, world=2).batch(1) for rank in (0, 1)]
    for part, left, right in zip(whole, *halves, strict=True):
        assert torch.equal(part[0::2], left) and torch.equal(part[1::2], right)


def stage2(**settings):
    return SMALL.stage2.model_copy(update=settings)


def pictures_of(store, batch):
    """The first pictures of a batch, found by their latents."""
    latents = store.read(np.arange(len(store)))
    at = [int((latents == latent).flatten(1).all(1).nonzero()[0]) for latent in batch.first]
    return torch.stack([torch.from_numpy(load_levels(store.manifest.paths[k], 64)) for k in at])


def test_stage_2_sees_edited_pictures(store):
    def batch_of(augmentation, **settings):
        return batches(store, stage2(pixels=augmentation, copies=0.0, edited=0.5, **settings)).batch(0)

    batch = batch_of(Augmentation(probability=1))
    assert batch.second.dtype == torch.uint8 and batch.second.shape == (32, 3, 64, 64)
    again = batch_of(Augmentation(probability=1))
    assert all(torch.equal(a, b) for a, b in zip(batch, again, strict=True)), "by its number alone"
    plain = batch_of(Augmentation(probability=0, flip=0, grey=0))
    changed = (plain.second != batch.second).flatten(1).any(1)
    assert 8 < changed.sum() < 24, "about half of them"
    assert torch.equal(plain.first, batch.first), "the first of a pair stays clean"
    both = batch_of(Augmentation(probability=1), edit_both=True)
    assert both.first.dtype == torch.uint8 and torch.equal(both.second, batch.second)
    assert torch.equal((both.first != pictures_of(store, batch)).flatten(1).any(1), changed), "with edit_both it is not"


@pytest.mark.parametrize("signal", [KeyboardInterrupt, Terminated])
def test_a_stop_reaches_the_caller(store, tmp_path, monkeypatch, signal):
    """Lightning would end the program, with an exit code of its own."""
    network = SiameseNetwork(SMALL.network.settings(4))
    module = StageTraining(network, SMALL, SMALL.stage1, load_encoder(), store, {})

    def stopped(*given):
        raise signal

    monkeypatch.setattr(StageTraining, "training_step", stopped)
    with pytest.raises(signal):
        fit(module, store, PairSampler(store.manifest, SMALL.stage1, 0), 1, tmp_path, RunOptions(workers=0))


@pytest.mark.parametrize(
    ("device", "accelerator", "devices"), [("cpu:0", "cpu", 1), ("cuda", "gpu", 1), ("cuda:1", "gpu", [1])]
)
def test_a_training_runs_where_it_was_told_to(device, accelerator, devices):
    placed = RunOptions(device).placed
    assert (placed["accelerator"], placed["devices"]) == (accelerator, devices)
    with pytest.raises(LCMemError, match="cuda:1 is one device, not 2; name cuda, or --devices 1"):
        RunOptions("cuda:1", devices=2)


def test_autoencoder_learns(people, tmp_path, monkeypatch):
    recipe = AutoencoderRecipe(size=64, crop=32, steps=60, batch_size=16)
    with pytest.raises(LCMemError, match="trained on one device"):
        train_autoencoder(people, tmp_path, recipe, RunOptions(devices=2))
    folder = train_autoencoder(people, tmp_path, recipe, RunOptions("cpu:0"))
    with monkeypatch.context() as patched:
        patched.setattr("lcmem.training.autoencoder.decode_pictures", None)
        assert train_autoencoder(people, tmp_path, recipe) == folder, "it is finished"
        with pytest.raises(LCMemError, match="steps"):
            train_autoencoder(people, tmp_path, AutoencoderRecipe(size=64, crop=32, steps=70, batch_size=16))
    card = json.loads((folder / "card.json").read_text())
    assert card["metrics"]["val_psnr"] > 18
    encoder = load_encoder(folder)
    assert encoder.encode(torch.rand(1, 3, 64, 64)).shape == (1, 4, 8, 8)


def test_an_autoencoder_s_loss_that_is_no_number_is_said(people, tmp_path):
    recipe = AutoencoderRecipe(size=64, crop=32, steps=12, batch_size=8, lr=1e30)
    with pytest.raises(LCMemError, match=r"the loss is (nan|inf) at step"):
        train_autoencoder(people, tmp_path, recipe)


def test_autoencoder_stopped_goes_on_to_the_same_weights(people, tmp_path, monkeypatch):
    recipe = AutoencoderRecipe(size=64, crop=32, steps=12, batch_size=8)
    options, bare = RunOptions(checkpoint_every=5), Manifest(people.table.assign(split=""))
    whole = train_autoencoder(bare, tmp_path / "whole", recipe, options)
    step = AutoencoderTraining.training_step

    def stopped(self, batch, index):
        if self.global_step == 7:
            raise KeyboardInterrupt
        return step(self, batch, index)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(AutoencoderTraining, "training_step", stopped)
        train_autoencoder(bare, tmp_path / "stopped", recipe, options)
    latest = tmp_path / "stopped" / "resume" / "latest.ckpt"
    state = latest.read_bytes()
    latest.write_bytes(state[: len(state) // 2])
    with pytest.raises(LCMemError, match=r"latest\.ckpt: damaged; delete it"):
        train_autoencoder(bare, tmp_path / "stopped", recipe, options)
    latest.write_bytes(state)
    gone_on = train_autoencoder(bare, tmp_path / "stopped", recipe, options)
    assert (gone_on / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def test_a_state_of_another_device_is_whole(tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
        torch.save({"state_dict": {"weight": torch.ones(3)}}, tmp_path / "latest.ckpt")
    check_state(tmp_path / "latest.ckpt", "")


def test_the_best_epoch_is_known_in_a_folder_that_was_moved(tmp_path):
    old, new = (BestEpoch(tmp_path / name, "best", monitor="val_score", mode="max") for name in ("old", "new"))
    path = str(tmp_path / "old" / "best.ckpt")
    known = {"best_model_path": path, "kth_best_model_path": path, "best_k_models": {path: torch.tensor(0.7)}}
    state = old.state_dict() | known | {"best_model_score": torch.tensor(0.7), "kth_value": torch.tensor(0.7)}
    new.load_state_dict(state)
    there = str(tmp_path / "new" / "best.ckpt")
    assert (new.best_model_path, new.kth_best_model_path, [*new.best_k_models]) == (there, there, [there])
    assert float(new.best_model_score) == float(new.kth_value) == pytest.approx(0.7)


@pytest.mark.parametrize("name", ["siamese", "ntxent", "ntxent-unsupervised"])
def test_the_papers_baselines_train(people, tmp_path, name):
    """With a small ResNet in place of the large one. (Without identities it takes more than 40 steps to see a gain.)"""
    small = ["network.backbone=resnet10t", "network.pretrained=''", "size=32", "stage1.batch_size=16"]
    steps = 10 if name.endswith("unsupervised") else 30
    recipe = load_recipe(name).with_settings(
        [*small, "stage1.epochs=1", f"stage1.steps_per_epoch={steps}", "stage1.lr=1e-3"]
    )
    anonymous = Manifest(people.table.assign(identity="")) if name.endswith("unsupervised") else people
    target = train(recipe, anonymous, tmp_path)
    card = json.loads((target / "card.json").read_text())
    assert card["encoder"]["name"] == "pixels"
    metrics = read_metrics(tmp_path / "logs" / "stage1")
    losses = metrics["bce" if name == "siamese" else "nt_xent"].dropna()
    assert losses.iloc[-1] < 0.95 * losses.iloc[0] or name == "ntxent-unsupervised"
    assert ("val_copy" in metrics) == name.endswith("unsupervised")


def test_layout_keeps_weights_and_features():
    network = SiameseNetwork(SMALL.network.settings(4)).eval()
    latents, weights = torch.randn(2, 4, 16, 16), {name: part.clone() for name, part in network.state_dict().items()}
    before = network(latents)
    names, types = [name for name, _ in network.named_parameters()], [type(part) for part in network.modules()]
    lay_out(network)
    assert [name for name, _ in network.named_parameters()] == names
    assert [type(part) for part in network.modules()] != types, "depthwise convolutions are others"
    assert all(torch.equal(weights[name], part) for name, part in network.state_dict().items())
    torch.testing.assert_close(network(latents), before, atol=1e-5, rtol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        assert network.backbone.stages[0].blocks[0].conv_dw(torch.randn(1, 64, 8, 8)).dtype == torch.float32


def test_what_is_not_used_or_not_known_is_said(orl):
    some = orl.table.assign(
        split=["train", "train", "val", "", "test"] * 80, identity="", patient=orl.table["identity"]
    )
    with pytest.warns(LCMemWarning) as said:
        assert (
            check_splits(Manifest(some)).counts
            == "train 160 pictures, val 80 pictures, test 80 pictures, no split 80 pictures"
        )
    assert [str(each.message) for each in said] == [
        "80 pictures have no split and are not used",
        "identities unknown: each picture stands for itself. --identity-column patient would give 40 identities for "
        "400 pictures",
    ]


def test_pictures_without_splits_are_divided(orl, tmp_path):
    bare = Manifest(orl.rows([k for k in range(400) if k % 10 < 3]).table.assign(split=""))
    divided = bare.with_splits()
    divided.check_disjoint()
    people = divided.table.groupby("split")["identity"].nunique().to_dict()
    assert people == {"train": 34, "val": 2, "test": 4}
    assert divided.table["split"].equals(bare.with_splits().table["split"]), "the same on every machine"
    known = dict(zip(divided.identities, divided.table["split"], strict=True))
    assert all(hash_split(name) in (split, "train") for name, split in known.items()), "val has two at least"
    tiny = [*TINY, "stage1.epochs=1", "stage1.steps_per_epoch=1", "stage2=none"]
    (tmp_path / "broken.png").write_text("no picture")
    broken = bare.table.iloc[:1].assign(path=str(tmp_path / "broken.png"))
    with pytest.warns(LCMemWarning, match=r"skipped: .*broken\.png: not a readable picture"):
        train(SMALL.with_settings(tiny), Manifest(pd.concat((bare.table, broken), ignore_index=True)), tmp_path / "run")
    written = Manifest.read(tmp_path / "run" / "manifest.csv")
    assert written.table["split"].tolist()[:-1] == divided.table["split"].tolist()

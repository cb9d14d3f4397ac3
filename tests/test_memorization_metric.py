"""Claims: the metric follows a generator that learns its training set by heart, and adds up over processes."""

import pickle

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing
from torchmetrics import MetricCollection

import lcmem
from lcmem.errors import LCMemError, PictureError
from lcmem.pictures.image import load_picture


@pytest.fixture(scope="module")
def real(people):
    return people.select(split="train").rows(range(40))


@pytest.fixture(scope="module")
def metric(compact, real):
    return lcmem.MemorizationRate(compact, real)


def tensors(paths):
    return torch.stack([torch.from_numpy(load_picture(path, size=64)) for path in paths])


def test_a_training_that_learns_its_pictures_by_heart(metric, real):
    """A generator that is nothing but its pictures: from noise to four of the real ones."""
    wanted = tensors(real.paths[:40:10])
    torch.manual_seed(0)
    generator = torch.nn.Parameter(torch.randn(4, 3, 64, 64))
    optimizer, rates = torch.optim.Adam([generator], lr=0.2), []
    for _ in range(2):
        metric.reset()
        metric.update(generator.sigmoid())
        rates.append(float(metric.compute()))
        for _ in range(60):
            optimizer.zero_grad()
            (generator.sigmoid() - wanted).square().mean().backward()
            optimizer.step()
    metric.reset()
    metric.update(generator.sigmoid()[:1])
    metric.update(generator.sigmoid()[1:])
    assert rates[0] == 0 and float(metric.compute()) == 1
    assert metric.rate.count == metric.rate.total == 4 and metric.rate.low < 1


def test_bad_pictures(metric):
    with pytest.raises(LCMemError, match=r"\[N, 3, H, W\]"):
        metric.update(torch.zeros(3, 8, 8))
    with pytest.raises(LCMemError, match="as list; the metric takes a tensor"):
        metric.update([torch.zeros(3, 8, 8)])
    with pytest.raises(PictureError, match=r"\[0, 1\]"):
        metric.update(torch.full((1, 3, 8, 8), -0.5))


def test_it_goes_to_another_process(metric, real):
    metric.reset()
    again = pickle.loads(pickle.dumps(metric))
    again.update(tensors(real.paths[:1]))
    again.update((tensors(real.paths[1:2]) * 255).round().byte())
    assert float(again.compute()) == 1


def test_metrics_of_two_real_sets_in_one_collection(compact, people, real):
    """A collection takes those of equal states for one; nothing has matched yet when it looks."""
    other = people.select(split="val")
    metrics = {
        name: lcmem.MemorizationRate(compact, pictures, threshold=0.99999)
        for name, pictures in (("of_training", real), ("of_others", other))
    }
    both = MetricCollection(metrics)
    both.update(tensors(people.select(split="test").paths[:2]))
    both.update(tensors(real.paths[:2]))
    assert {name: float(rate) for name, rate in both.compute().items()} == {"of_training": 0.5, "of_others": 0.0}
    both.reset()
    both.update(tensors(real.paths[:1]))
    assert float(both.compute()["of_training"]) == 1


def test_counts_of_something_else_are_not_added(compact, real, metric):
    metric.reset()
    metric.update(tensors(real.paths[:1]))
    other = lcmem.MemorizationRate(compact, real, threshold=0.9)
    with pytest.raises(LCMemError, match="counts of another MemorizationRate"):
        other.merge_state(metric)
    saved = lcmem.MemorizationRate(compact, real)
    saved.persistent(True)
    saved.update(tensors(real.paths[:2]))
    with pytest.raises(LCMemError, match="counts of another MemorizationRate"):
        torch.nn.ModuleDict({"rate": other}).load_state_dict(torch.nn.ModuleDict({"rate": saved}).state_dict())
    assert int(other.total) == 0
    metric.load_state_dict(saved.state_dict())
    metric.merge_state(saved)
    assert metric.rate.count == metric.rate.total == 4


def worker(rank, metrics, folder):
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    torch.save(metrics[rank].compute(), folder / f"{rank}.pt")
    dist.destroy_process_group()


def test_processes_add_up(metric, real, tmp_path):
    """One process judged a real picture and a strange one, the other a strange one."""
    metric.reset()
    both, strange = metric.clone(), metric.clone()
    both.update(torch.cat([tensors(real.paths[:1]), torch.rand(1, 3, 64, 64)]))
    strange.update(torch.rand(1, 3, 64, 64))
    torch.multiprocessing.start_processes(worker, ((both, strange), tmp_path), nprocs=2, start_method="fork")
    assert [float(torch.load(tmp_path / f"{rank}.pt")) for rank in (0, 1)] == pytest.approx([1 / 3, 1 / 3])

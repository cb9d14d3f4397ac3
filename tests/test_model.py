"""Claims: the losses equal naive loops over explicit pairs; the metric head is a metric."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from lcmem.errors import LCMemError
from lcmem.model import (
    LinearHead,
    MetricHead,
    NetworkSettings,
    SiameseNetwork,
    combined_loss,
    nt_xent,
    pair_bce,
    pair_logits,
)
from lcmem.model.fused import fused
from lcmem.model.siamese import normalise_samples
from lcmem.training.presets import load_recipe


def naive_nt_xent(u, v, identity, temperature):
    views, labels = torch.cat((u, v)), torch.cat((identity, identity))
    count, total = len(u), 0.0
    for i in range(2 * count):
        partner = (i + count) % (2 * count)
        similarity = [F.cosine_similarity(views[i], other, dim=0).item() / temperature for other in views]
        rivals = [similarity[j] for j in range(2 * count) if j == partner or labels[j] != labels[i]]
        total += math.log(sum(math.exp(value) for value in rivals)) - similarity[partner]
    return total / (2 * count)


@pytest.mark.parametrize("identity", [[0, 1, 2, 3], [0, 1, 0, 1], [5, 5, 5, 5]])
@pytest.mark.parametrize("temperature", [0.07, 1.0])
def test_nt_xent_equals_a_naive_loop(identity, temperature):
    torch.manual_seed(0)
    u, v, labels = torch.randn(4, 6), torch.randn(4, 6), torch.tensor(identity)
    expected = naive_nt_xent(u, v, labels, temperature)
    assert nt_xent(u, v, labels, temperature).item() == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_nt_xent_refuses_nonsense():
    with pytest.raises(ValueError, match="temperature"):
        nt_xent(torch.ones(2, 3), torch.ones(2, 3), torch.arange(2), 0)
    with pytest.raises(ValueError, match="shapes"):
        nt_xent(torch.ones(2, 3), torch.ones(3, 3), torch.arange(2))


def test_pair_bce_equals_a_naive_loop():
    torch.manual_seed(0)
    logits, identity = torch.randn(5, 5), torch.tensor([0, 1, 2, 0, 3])
    positives = [math.log1p(math.exp(-logits[i, i])) for i in range(5)]
    negatives = [math.log1p(math.exp(logits[i, j])) for i in range(5) for j in range(5) if identity[i] != identity[j]]
    expected = (sum(positives) / len(positives) + sum(negatives) / len(negatives)) / 2
    assert pair_bce(logits, identity).item() == pytest.approx(expected, rel=1e-5)
    assert pair_bce(logits, torch.zeros(5)).item() == pytest.approx(sum(positives) / 5, rel=1e-5), "no negatives"


features = st.lists(st.floats(0, 1, width=32), min_size=8, max_size=8)


@settings(max_examples=50, deadline=None)
@given(features, features, features)
def test_metric_head_is_a_metric(a, b, c):
    head = MetricHead(8)
    torch.nn.init.normal_(head.raw_weight)
    a, b, c = (torch.tensor(x, dtype=torch.float64) for x in (a, b, c))
    weight, bias = head.weight.detach(), head.bias.detach()

    def distance(x, y):
        return (bias.double() - pair_logits(x, y, weight, bias)).item()

    assert (weight >= 0).all()
    assert distance(a, a) == 0 <= distance(a, b) == distance(b, a)
    assert distance(a, c) <= distance(a, b) + distance(b, c) + 1e-9


@pytest.mark.parametrize("kind", [MetricHead, LinearHead])
def test_head_pair_and_matrix_scores_agree(kind):
    torch.manual_seed(0)
    head = kind(16)
    u, v = torch.rand(5, 16), torch.rand(7, 16)
    matrix = head.all_pairs(u, v)
    for i in range(5):
        for j in range(7):
            naive = head.bias.item() - sum(
                w * abs(x - y) for w, x, y in zip(head.weight.tolist(), u[i].tolist(), v[j].tolist(), strict=True)
            )
            assert matrix[i, j].item() == pytest.approx(naive, abs=1e-5)
            assert pair_logits(u[i], v[j], head.weight, head.bias).item() == pytest.approx(naive, abs=1e-5)


def test_network_shapes_and_range():
    network = SiameseNetwork(load_recipe("compact-latent").network.settings(4)).eval()
    u = network(torch.randn(2, 4, 32, 32))
    assert u.shape == (2, 512) and 0 <= u.min() and u.max() <= 1
    with pytest.raises(LCMemError, match="unknown head"):
        SiameseNetwork(NetworkSettings(head="cosine"))


def test_normalisation():
    network = SiameseNetwork(load_recipe("compact-latent").network.settings(4))
    latents = torch.randn(64, 4, 8, 8) * torch.tensor([1.0, 2, 3, 4])[:, None, None] + 5
    network.mean.copy_(latents.mean((0, 2, 3)))
    network.std.copy_(latents.std((0, 2, 3)))
    normalised = network.normalise(latents)
    np.testing.assert_allclose(normalised.mean((0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(normalised.std((0, 2, 3)), 0.5, atol=1e-5)
    np.testing.assert_allclose(normalise_samples(latents).std((2, 3)), 0.5, atol=1e-4)
    assert normalise_samples(torch.ones(1, 4, 8, 8)).isfinite().all(), "a constant picture"


class Largest(torch.utils._python_dispatch.TorchDispatchMode):
    """The largest tensor that any operation makes, forwards or backwards."""

    numel = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for part in result if isinstance(result, tuple | list) else (result,):
            if isinstance(part, torch.Tensor):
                self.numel = max(self.numel, part.numel())
        return result


def test_losses_of_512_pairs_need_no_more_than_their_square():
    """The common library's NT-Xent compares each positive with each negative pair: gigabytes at this size."""
    u, v = (torch.rand(512, 512, requires_grad=True) for _ in range(2))
    head, identity = MetricHead(512), torch.arange(512)
    with Largest() as largest:
        combined_loss(u, v, head.all_pairs(u, v), identity)[0].backward()
    assert u.grad is not None and head.raw_weight.grad is not None
    assert largest.numel == 1024**2, "2B × 2B, and not B × B × D = 128 times as much"


@pytest.mark.parametrize("kind", [MetricHead, LinearHead])
def test_all_pairs_has_the_gradients_of_the_plain_formula(kind):
    torch.manual_seed(0)
    head, u, v = kind(6).double(), torch.rand(4, 6).double(), torch.rand(5, 6).double()
    u.requires_grad_(), v.requires_grad_()
    seed = torch.randn(4, 5).double()
    parameters = [u, v, *head.parameters()]
    fast = torch.autograd.grad((head.all_pairs(u, v) * seed).sum(), parameters)
    plain = torch.autograd.grad((head(u[:, None], v[None]) * seed).sum(), parameters)
    for a, b in zip(fast, plain, strict=True):
        torch.testing.assert_close(a, b)


def test_l1_of_a_unit_part_follows_its_cosine():
    torch.manual_seed(0)
    settings = NetworkSettings("convnext_atto", {"depths": [1, 1, 1, 1]}, channels=3, features=96, parts=[64, 32])
    network = SiameseNetwork(settings).eval()
    network.backbone = torch.nn.Flatten()
    x = torch.randn(300, 96, 1, 1)
    u = network.embed(x)
    logits = torch.logit(u)
    for part, size in zip(logits.split([64, 32], dim=1), (64, 32), strict=True):
        assert torch.allclose(part.square().mean(1), torch.ones(300), atol=1e-4), size
    rows, columns = torch.triu_indices(300, 300, 1)
    cosine = F.cosine_similarity(x[rows, :64].flatten(1), x[columns, :64].flatten(1))
    distance = (u[rows, :64] - u[columns, :64]).abs().sum(1)
    assert np.corrcoef(cosine, distance)[0, 1] < -0.85


def test_parts_must_add_up():
    with pytest.raises(LCMemError, match="do not add up"):
        SiameseNetwork(NetworkSettings("convnext_atto", features=96, parts=[64, 64]))


def test_gain_stretches_all_but_the_last_part():
    settings = NetworkSettings("convnext_atto", {"depths": [1, 1, 1, 1]}, features=96, parts=[64, 32], gain=True)
    network = SiameseNetwork(settings).eval()
    x = torch.randn(50, 96)
    before = torch.logit(network.features_of(x))
    torch.nn.init.normal_(network.gain.weight, std=0.05)
    after = torch.logit(network.features_of(x))
    ratio = after[:, :64] / before[:, :64]
    assert torch.allclose(ratio, ratio[:, :1].expand_as(ratio), rtol=1e-2)
    assert ratio[:, 0].std() > 0.05
    torch.testing.assert_close(after[:, 64:], before[:, 64:])


@pytest.mark.parametrize("parts", [[], [96]])
def test_gain_needs_two_parts(parts):
    with pytest.raises(LCMemError, match="two parts"):
        SiameseNetwork(NetworkSettings("convnext_atto", features=96, parts=parts, gain=True))


@pytest.mark.parametrize("backbone", ["tf_efficientnet_lite0", "mobilenetv3_small_050", "resnet10t", "convnext_atto"])
def test_a_fused_network_is_the_same_function(backbone):
    torch.manual_seed(0)
    network = SiameseNetwork(NetworkSettings(backbone, channels=3, features=64)).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.5, 0.5)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.5, 0.5)
    x = torch.rand(2, 3, 64, 64)
    twin = fused(network)
    torch.testing.assert_close(twin(x), network(x), atol=1e-5, rtol=1e-4)
    left = sum(isinstance(module, torch.nn.BatchNorm2d) for module in twin.modules())
    assert left < sum(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules()) or left == 0

"""Fitting the head and the gain: two kinds of pictures whose pairs differ by different amounts."""

import numpy as np
import pytest
import torch

from lcmem.encoders import load_encoder
from lcmem.latents import LatentStore, build_store
from lcmem.model import NetworkSettings, SiameseNetwork
from lcmem.pairs import copy_pairs
from lcmem.stats.reliability import reliability
from lcmem.training.head import LabelledPairs, fit_head, labelled_pairs
from lcmem.training.validation import ValidationList


@pytest.fixture(scope="module")
def people(orl, tmp_path_factory) -> LatentStore:
    """Six pictures as pixels."""
    return build_store(orl.rows(range(0, 60, 10)), load_encoder("pixels"), 64, tmp_path_factory.mktemp("people"))


def kind(at: int, spread: float, seed: int) -> LabelledPairs:
    """60 identities × 4 pictures; the last part tells the kind, ``spread`` how unlike pictures of one identity are."""
    draw = torch.Generator().manual_seed(seed)
    identity = torch.arange(60).repeat_interleave(4)
    centres = torch.randn(60, 64, generator=draw)
    place = torch.zeros(240, 32)
    place[:, at] = 3
    outputs = torch.cat(
        (
            centres[identity] + spread * torch.randn(240, 64, generator=draw),
            place + 0.3 * torch.randn(240, 32, generator=draw),
        ),
        dim=1,
    )
    first, second = torch.triu_indices(240, 240, 1)
    chosen = (identity[first] == identity[second]) | (torch.rand(len(first), generator=draw) < 0.05)
    first, second = first[chosen], second[chosen]
    return LabelledPairs(outputs, first, second, identity[first] == identity[second])


def fitted(gain: bool) -> SiameseNetwork:
    settings = NetworkSettings("convnext_atto", {"depths": [1, 1, 1, 1]}, features=96, parts=[64, 32], gain=gain)
    network = SiameseNetwork(settings)
    fit_head(network, [kind(0, 0.5, 1), kind(1, 1.5, 2)], shares=(0.8, 0.2))
    return network


def calibration_error(network: SiameseNetwork, pairs: LabelledPairs) -> float:
    u = network.features_of(pairs.outputs)
    probability = torch.sigmoid(network.head(u[pairs.first], u[pairs.second]))
    return reliability(probability.detach().numpy(), pairs.same.numpy()).error


def test_one_line_cannot_serve_two_kinds_and_a_gain_can():
    unseen = [kind(0, 0.5, seed=8), kind(1, 1.5, seed=9)]
    plain, stretched = ([calibration_error(fitted(gain), pairs) for pairs in unseen] for gain in (False, True))
    assert max(stretched) < 0.05 < max(plain)
    assert sum(stretched) < sum(plain) / 2


def test_parts_keep_their_shares():
    network = fitted(True)
    specific, general = (part.sum().item() for part in network.head.weight.split([64, 32]))
    assert specific / general == pytest.approx(4, rel=1e-3)


def test_a_copy_stands_behind_the_pictures_that_it_was_made_of(people):
    """Row by row: what the backbone says of the second pictures is found where ``second`` points."""
    copies = ValidationList(
        people, people.read(np.arange(len(people))) * 0.5, copy_pairs(len(people), np.zeros(len(people)))
    )
    settings = NetworkSettings("convnext_atto", {"depths": [1, 1, 1, 1]}, channels=3, features=96, parts=[64, 32])
    network = SiameseNetwork(settings).eval()
    (pairs,) = labelled_pairs(network, copies).values()
    with torch.no_grad():
        first, second = (network(latents) for latents in (people.read(np.arange(len(people))), copies.second))
    u = network.features_of(pairs.outputs)
    torch.testing.assert_close(u[pairs.first], first[copies.pairs.first])
    torch.testing.assert_close(u[pairs.second], second[copies.pairs.second])

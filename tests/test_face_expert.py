"""Claims: the recogniser changes pictures of faces alone, sees what the aligner says, and can be taken out."""

import copy

import numpy as np
import pytest
import torch

from lcmem.errors import LCMemError
from lcmem.model import NetworkSettings, SiameseNetwork
from lcmem.model.faces import CROP, USUAL, upright
from lcmem.model.fused import fused
from lcmem.stats.roc import Roc

SETTINGS = NetworkSettings("mobilenetv3_small_050", channels=3, features=96, parts=[64, 32], gain=True, faces=64)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return SiameseNetwork(SETTINGS).eval()


def opened(network, logits):
    """The network with an aligner that is so sure of a face in every picture."""
    twin = copy.deepcopy(network)
    with torch.no_grad():
        twin.faces.aligner.out.weight.zero_()
        twin.faces.aligner.out.bias.copy_(torch.tensor([0.0] * 6 + [logits]))
    return twin


@torch.no_grad()
def test_pictures_without_a_face_have_the_features_of_the_network_alone(network):
    pictures = torch.rand(5, 3, 64, 64)
    with_faces = opened(network, 0.4)  # a probability just below LIKELY
    alone = copy.deepcopy(with_faces).without_faces()
    assert alone.settings.faces == 0 and not [name for name in alone.state_dict() if name.startswith("faces")]
    assert torch.equal(with_faces(pictures), alone(pictures))


@torch.no_grad()
def test_a_face_has_its_say_in_the_first_part_alone(network):
    pictures = torch.rand(5, 3, 64, 64)
    plain, said = opened(network, -1.0)(pictures), opened(network, 5.0)(pictures)
    assert torch.equal(plain[:, 64:], said[:, 64:])
    assert ((plain[:, :64] - said[:, :64]).abs().amax(1) > 1e-3).all()
    torch.testing.assert_close(fused(opened(network, 5.0))(pictures), said)


@torch.no_grad()
def test_each_picture_is_judged_alone(network):
    pictures = torch.rand(6, 3, 64, 64)
    some = copy.deepcopy(network)
    torch.nn.init.normal_(some.faces.aligner.out.weight, std=5.0)
    together = some(pictures)
    torch.testing.assert_close(together, torch.cat([some(picture[None]) for picture in pictures]))


@torch.no_grad()
def test_the_crop_lies_where_the_aligner_says(network):
    aligner = opened(network, 5.0).faces.aligner
    maps = torch.zeros(1, aligner.reduce.in_channels, 4, 4)
    aligner.out.bias[0] = -torch.log(torch.tensor(USUAL))  # the crop is as large as the picture
    picture = torch.rand(1, 3, CROP, CROP)
    torch.testing.assert_close(upright(picture, aligner(maps)[0]), picture, atol=1e-4, rtol=0)
    aligner.out.bias[0] -= torch.log(torch.tensor(2.0))  # half as large, then to the right and down by a quarter
    aligner.out.bias[4:6] = 0.5
    x, y = torch.meshgrid(torch.arange(224.0), torch.arange(224.0), indexing="xy")
    found = upright(torch.stack((x, y))[None], aligner(maps)[0])
    torch.testing.assert_close(found[0], torch.stack((x, y))[:, 112:, 112:], atol=1e-2, rtol=0)


@pytest.mark.parametrize("changes", [{"channels": 4}, {"parts": [], "gain": False}, {"unshuffle": 2}])
def test_it_needs_pixels_and_parts(changes):
    with pytest.raises(LCMemError, match="a network on pixels with parts"):
        SiameseNetwork(NetworkSettings(**(SETTINGS.to_dict() | changes)))


def test_it_tells_people_apart_that_nobody_trained_on(bundled, orl):
    people = orl.rows([k for k in range(len(orl)) if k % 10 < 4][:80])
    labels = people.table["identity"].to_numpy()
    first, second = np.triu_indices(len(labels), 1)
    same = labels[first] == labels[second]
    pictures = torch.cat([batch.pictures for batch, _ in bundled.stream(people.paths, workers=0)])
    aucs = []
    for network in (copy.deepcopy(bundled.network).without_faces(), bundled.network):
        with torch.inference_mode():
            u = torch.cat([network(part / 255) for part in pictures.split(16)])
        aucs.append(Roc.of(bundled.logits(u[first], u[second]).numpy(), same).auc())
    assert aucs[1] > 0.98 and 1 - aucs[1] < (1 - aucs[0]) / 2

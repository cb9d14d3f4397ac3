"""Claims: every edit keeps shape and range, does nothing at its neutral strength and something otherwise."""

import pytest
import torch

from lcmem import edits
from lcmem.augment import Augmentation
from lcmem.pictures.image import load_picture


@pytest.fixture(scope="module")
def pictures(faces):
    return torch.stack([torch.from_numpy(load_picture(faces / "s1" / f"{k}.pgm", 96)) for k in (1, 2, 3)])


def full(value):
    return torch.full((3,), float(value))


EDITS = {
    "rotate": (lambda x: edits.rotate(x, full(0)), lambda x: edits.rotate(x, full(20))),
    "crop": (lambda x: edits.crop(x, full(1), full(0), full(0)), lambda x: edits.crop(x, full(0.5), full(0), full(1))),
    "blur": (lambda x: edits.blur(x, full(0)), lambda x: edits.blur(x, full(4))),
    "noise": (lambda x: edits.noise(x, full(0)), lambda x: edits.noise(x, full(0.1))),
    "brightness": (lambda x: edits.brightness(x, full(1)), lambda x: edits.brightness(x, full(1.6))),
    "contrast": (lambda x: edits.contrast(x, full(1)), lambda x: edits.contrast(x, full(0.5))),
    "downscale": (lambda x: edits.downscale(x, 1), lambda x: edits.downscale(x, 4)),
    "jpeg": (lambda x: edits.jpeg(x, full(100)), lambda x: edits.jpeg(x, full(10))),
    "flip": (lambda x: edits.flip(edits.flip(x)), edits.flip),
}


@pytest.mark.parametrize("name", EDITS)
def test_edit(name, pictures):
    neutral, strong = EDITS[name]
    assert (neutral(pictures) - pictures).abs().max() < 0.02
    edited = strong(pictures)
    assert edited.shape == pictures.shape and 0 <= edited.min() and edited.max() <= 1
    assert ((edited - pictures).abs().mean((1, 2, 3)) > 0.005).all()


def test_crop_enlarges_the_corner_it_names():
    picture = torch.zeros(1, 3, 64, 64)
    picture[..., 32:, :32] = 1  # lower left
    corner = edits.crop(picture, torch.tensor([0.5]), torch.tensor([0.0]), torch.tensor([1.0]))
    assert corner[..., 4:, :-4].min() > 0.99


def test_blur_is_separate_for_each_picture(pictures):
    both = edits.blur(pictures, torch.tensor([0.5, 2.0, 6.0]))
    alone = edits.blur(pictures[2:], torch.tensor([6.0]))
    torch.testing.assert_close(both[2:], alone, atol=1e-5, rtol=0)


def test_grey(pictures):
    edited = edits.grey(torch.rand(2, 3, 8, 8))
    assert torch.equal(edited[:, 0], edited[:, 2])


def test_augmentation_is_reproducible_and_changes_every_strength(pictures):
    edit = Augmentation()
    first = edit(pictures, torch.Generator().manual_seed(1))
    again = edit(pictures, torch.Generator().manual_seed(1))
    other = edit(pictures, torch.Generator().manual_seed(2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert 0 <= first.min() and first.max() <= 1


def test_brightness_really_changes():
    """The official code's range of 1.0 to 1.0 was the identity."""
    edit = Augmentation(probability=1)
    grey = torch.full((200, 3, 16, 16), 0.4)
    means = edit(grey, torch.Generator().manual_seed(0)).mean((1, 2, 3))
    assert means.min() < 0.25 and means.max() > 0.7

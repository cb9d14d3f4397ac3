"""Train the pixel model with two teachers, on CPUs; one process for each core, started by ``torchrun``.

    torchrun --nproc-per-node 2 tools/pixel_model/train.py WORK --out RUN --steps 3000

WORK is what ``prepare.py`` wrote. Each step draws, in each process, pairs of faces and pairs of one other domain.
NT-Xent tells identities (and, where there is one picture, edited copies) apart within the domain; the identity part of
a face must predict SFace's features by a linear layer and have SFace's cosines within the batch; the general part must
be what the untouched network says of the picture on 224 pixels. Batch norm keeps its ImageNet statistics. Averaged
weights (``ema``) are what counts. The state is saved every 150 steps, and the same command goes on from there.
"""

import argparse
import copy
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import timm
import torch
import torch.distributed as dist
import torch.nn.functional as F
from timm.layers import Conv2dSame
from torch import Tensor, nn

import edits
from lcmem.model import nt_xent

PARTS = (384, 128)
"""Sizes of the identity part and the general part of the features."""
DOMAINS = {
    "celeba": "face",
    "celeba64": "face",
    "nih": "xray",
    "nih64": "xray",
    "ieee_cxr": "xray",
    "pedcxr": "child",
    "lidc": "ct",
    "ham10000": "skin",
    "brain_mri": "mri",
    "tiny_imagenet": "photo",
    "imagenet1000": "photo",
}
SHARES = {"xray": 0.24, "child": 0.17, "ct": 0.16, "skin": 0.14, "mri": 0.05, "photo": 0.24}
"""How often the other domain is drawn."""
STRONG = {"face": 0.18, "xray": 0.3, "child": 0.3, "ct": 0.35, "skin": 0.4, "mri": 0.5, "photo": 0.7}
"""How many pictures are edited strongly; where details are the identity, fewer."""
LEAST_AREA = {"face": 0.13, "photo": 0.13}
ONE_PICTURE = 0.35
"""How often an identity with one picture is drawn against one with several, where there are identities."""


@dataclass(frozen=True)
class Settings:
    """Of a run; see ``--help``."""

    steps: int = 3000
    size: int = 96
    faces: int = 44
    others: int = 20
    lr: float = 5e-4
    temperature: float = 0.07
    sface_cosine: float = 2.0
    sface_similarity: float = 6.0
    face_identity: float = 0.4
    general: float = 1.0
    warm_up: int = 200
    decay: int = 0
    average: float = 0.999
    seed: int = 0


class _InFloat32:
    """Depthwise kernels stay in float32: their gradient takes three times as long in bfloat16."""

    def forward(self, x: Tensor) -> Tensor:
        """As the other parent class."""
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.float())


class Depthwise(_InFloat32, nn.Conv2d):
    """Of a stride of one."""


class DepthwiseSame(_InFloat32, Conv2dSame):
    """Of a larger stride, padded as TensorFlow does."""


class Network(nn.Module):
    """Backbone ``b``, features ``fc``, and the linear layer ``face`` that predicts SFace's features."""

    def __init__(self) -> None:
        super().__init__()
        self.b = timm.create_model("tf_efficientnet_lite0", num_classes=0)
        self.fc = nn.Linear(1280, sum(PARTS))
        self.face = nn.Linear(PARTS[0], 128, bias=False)
        for module in self.b.modules():
            if isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1:
                module.__class__ = DepthwiseSame if isinstance(module, Conv2dSame) else Depthwise

    def train(self, mode: bool = True) -> "Network":
        """Batch norm keeps its statistics."""
        super().train(mode)
        for module in self.b.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Unit vectors of both parts."""
        with torch.autocast("cpu", torch.bfloat16):
            pooled = self.b(pictures)
        identity, general = self.fc(pooled.float()).split(PARTS, dim=1)
        return F.normalize(identity, dim=1), F.normalize(general, dim=1)


class Data:
    """Pictures of the split ``train``, whose they are, and what the teachers say of them."""

    def __init__(self, work: Path) -> None:
        self.table = pd.read_parquet(work / "table.parquet")
        self.pixels = np.load(work / "pixels.npy", mmap_mode="r")
        train = self.table[self.table["split"] == "train"]
        domain = train["dataset"].map(DOMAINS)
        named = train["identity"] != ""
        who = (domain + "/" + train["identity"]).where(named, "#" + train.index.astype(str))
        self.identity = np.full(len(self.table), -1)
        self.identity[train.index] = pd.factorize(who)[0]
        self.members, self.weights = {}, {}
        for name in dict.fromkeys(DOMAINS.values()):
            groups = [rows.to_numpy() for rows in train.index[domain == name].to_series().groupby(who).groups.values()]
            single = np.array([len(rows) < 2 for rows in groups])
            weight = np.where(single & bool(named[domain == name].any()), ONE_PICTURE, 1.0)
            self.members[name], self.weights[name] = groups, weight / weight.sum()
        self.sface = self._answers(work / "sface.npz", 128)
        self.directions, self.general = self._main_directions(work / "lite0.npz", train.index)

    def _answers(self, path: Path, size: int) -> Tensor:
        found, answers = np.load(path), np.zeros((len(self.table), size), np.float32)
        answers[found["at"]] = found["features"]
        return torch.from_numpy(answers)

    def _main_directions(self, path: Path, train: pd.Index) -> tuple[Tensor, Tensor]:
        """Principal directions ``[n, 1280]`` of the general teacher's unit vectors, and these along them."""
        answers = F.normalize(self._answers(path, 1280), dim=1)
        rows = train.to_numpy().copy()
        sample = np.random.default_rng(0).choice(rows, 8000, replace=False)
        mean = answers[rows].mean(0)
        directions = torch.linalg.svd(answers[sample] - mean, full_matrices=False)[2][: PARTS[1]]
        return directions, F.normalize((answers - mean) @ directions.T, dim=1)

    def picture(self, row: int) -> np.ndarray:
        """``[H, W, 3]``."""
        return np.ascontiguousarray(self.pixels[row].transpose(1, 2, 0))

    def pairs(self, rng: np.random.Generator, domain: str, count: int) -> np.ndarray:
        """Rows ``[2, count]``: two pictures of one identity, or one twice."""
        groups = self.members[domain]
        found = []
        for k in rng.choice(len(groups), count, replace=False, p=self.weights[domain]):
            two = len(groups[k]) > 1 and rng.random() < 0.75
            found.append(rng.choice(groups[k], 2, replace=False) if two else [rng.choice(groups[k])] * 2)
        return np.array(found).T

    def view(
        self, rng: np.random.Generator, row: int, domain: str, size: int, *, first: bool, other: int
    ) -> np.ndarray:
        """An edited picture; the first of a pair stands for a real one, and is edited less."""
        picture = self.picture(row)
        if rng.random() < STRONG[domain] * (0.4 if first else 1.6):
            background = self.picture(other) if rng.random() < 0.3 else None
            return edits.strong(rng, picture, size, background, LEAST_AREA.get(domain, 0.2))
        return edits.shrink(picture, size) if first and rng.random() < 0.3 else edits.mild(rng, picture, size)


def step_loss(network: Network, data: Data, settings: Settings, rng: np.random.Generator) -> dict[str, Tensor]:
    """The parts of the loss of one step's pictures."""
    chunks = [("face", settings.faces), (str(rng.choice(list(SHARES), p=list(SHARES.values()))), settings.others)]
    rows, views = [], []
    for domain, count in chunks:
        pairs = data.pairs(rng, domain, count)
        rows.append(pairs)
        for place, part in enumerate(pairs):
            seen = [
                data.view(rng, k, domain, settings.size, first=place == 0, other=rng.choice(pairs[0])) for k in part
            ]
            views.append(np.stack(seen))
    pictures = torch.from_numpy(np.concatenate(views)).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
    identity, general = network(pictures.contiguous(memory_format=torch.channels_last))
    at = np.concatenate([pairs.reshape(-1) for pairs in rows])
    parts = {"general": settings.general * (1 - (general * data.general[at]).sum(1)).mean()}
    start = 0
    for (domain, count), pairs in zip(chunks, rows, strict=True):
        z, picture = identity[start : start + 2 * count], pairs.reshape(-1)
        start += 2 * count
        weight = (settings.face_identity if domain == "face" else 1.0) * count / 40
        parts[domain] = weight * nt_xent(*z.chunk(2), torch.from_numpy(data.identity[pairs[0]]), settings.temperature)
        if domain == "face":
            target = data.sface[picture]
            predicted = F.normalize(network.face(z), dim=1)
            apart = ~torch.eye(len(z), dtype=torch.bool)
            parts["sface_cosine"] = settings.sface_cosine * (1 - (predicted * target).sum(1)).mean()
            gap = (z @ z.T - target @ target.T)[apart]
            parts["sface_similarity"] = settings.sface_similarity * gap.square().mean()
    return parts


def share_gradients(network: Network) -> None:
    """Average over processes."""
    if dist.is_initialized():
        gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        dist.all_reduce(flat)
        parts = (flat / dist.get_world_size()).split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))


def new_network(data: Data) -> Network:
    """ImageNet weights; the general part begins as the main directions of what the teacher says."""
    from lcmem.detectors.foundation import load_efficientnet_lite0
    from lcmem.detectors.registry import Options

    torch.manual_seed(0)
    network = Network()
    network.b.load_state_dict(load_efficientnet_lite0(Options(), "efficientnet-lite0").module.state_dict())
    with torch.no_grad():
        network.fc.weight[PARTS[0] :] = data.directions
        network.fc.bias[PARTS[0] :] = 0
    return network.to(memory_format=torch.channels_last).train()


def optimiser(network: Network) -> torch.optim.Optimizer:
    """AdamW; new layers learn twice as fast, biases and batch norm do not decay."""
    old = list(network.b.parameters())
    new = [*network.fc.parameters(), *network.face.parameters()]
    groups = [(new, 0.02, 2.0), ([p for p in old if p.ndim > 1], 0.02, 1.0), ([p for p in old if p.ndim < 2], 0.0, 1.0)]
    return torch.optim.AdamW([{"params": p, "weight_decay": decay, "scale": scale} for p, decay, scale in groups])


def rate(settings: Settings, step: int) -> float:
    """Warm-up, constant, and a straight fall over the last ``decay`` steps."""
    left = (settings.steps - step) / settings.decay if settings.decay else 1.0
    return settings.lr * min(1.0, (step + 1) / settings.warm_up, max(0.02, left))


def train(work: Path, out: Path, settings: Settings) -> None:
    """Train, or go on."""
    rank, data = int(os.environ.get("RANK", 0)), Data(work)
    network = new_network(data)
    average, optimizer, step = copy.deepcopy(network).requires_grad_(False), optimiser(network), 0
    path = out / "state.pt"
    if path.is_file():
        state = torch.load(path, weights_only=True)
        network.load_state_dict(state["net"])
        average.load_state_dict(state["ema"])
        optimizer.load_state_dict(state["opt"])
        step = state["step"]
    began = time.time()
    while step < settings.steps:
        rng = np.random.default_rng((settings.seed, step, rank))
        edits.cv2.setRNGSeed(int(rng.integers(2**31)))
        for group in optimizer.param_groups:
            group["lr"] = rate(settings, step) * group["scale"]
        parts = step_loss(network, data, settings, rng)
        optimizer.zero_grad()
        torch.stack(list(parts.values())).sum().backward()
        share_gradients(network)
        nn.utils.clip_grad_norm_(network.parameters(), 2.0)
        optimizer.step()
        step += 1
        keep = min(settings.average, (step + 1) / (step + 20))
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - keep)
        if rank == 0 and step % 25 == 0:
            losses = {name: round(float(value), 4) for name, value in parts.items()}
            with (out / "log.jsonl").open("a") as log:
                log.write(json.dumps({"step": step, "seconds": round(time.time() - began), **losses}) + "\n")
        if rank == 0 and (step % 150 == 0 or step == settings.steps):
            state = {"net": network.state_dict(), "ema": average.state_dict(), "opt": optimizer.state_dict()}
            torch.save(state | {"step": step, "settings": asdict(settings)}, path.with_suffix(".partial"))
            path.with_suffix(".partial").replace(path)


def main() -> None:
    """Parse and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    for name, value in asdict(Settings()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value, help="default: %(default)s")
    arguments = vars(parser.parse_args())
    work, out = arguments.pop("work"), arguments.pop("out")
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        dist.init_process_group("gloo")
    train(work, out, Settings(**arguments))


if __name__ == "__main__":
    main()

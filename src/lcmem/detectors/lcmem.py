"""LCMem: frozen encoder, Siamese network and card in one object."""

import copy
import hashlib
import os
from collections import deque
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import cycle
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lcmem import checkpoints
from lcmem.detectors.base import Detector
from lcmem.devices import batch_size as suited
from lcmem.devices import full_precision, usable_devices
from lcmem.encoders import LatentEncoder, load_encoder, weights_sha256
from lcmem.errors import CheckpointError, LCMemError
from lcmem.hub import hub_folder
from lcmem.model import Head, NetworkSettings, SiameseNetwork, pair_logits
from lcmem.model.fused import fused
from lcmem.pictures.loading import PictureBatch, to_float

KIND = "detector"
ON_CPU = 8
"""Pictures that a CPU encodes at once: larger maps leave its cache and are paid for with fresh memory."""
NETWORK_ON_CPU = 16
"""Latents that the network takes at once on a CPU; its maps are smaller."""


class LCMem(Detector):
    """A trained detector: the logits of its head, or cosines if it was trained by NT-Xent alone.

    Attributes:
        name: In tables and file names; the card's unless another is given.
        network: The Siamese network, in evaluation mode.
        encoder: The frozen autoencoder.
        size: Side of the square that pictures are squeezed into, in pixels.
        card: What is known about it: name, training, training data, encoder, metrics, licence.
        engines: Encoder and network on each device, the network as :func:`lcmem.model.fused.fused` makes it of one that
            was loaded.
    """

    def __init__(
        self,
        network: SiameseNetwork,
        encoder: LatentEncoder,
        size: int,
        *,
        name: str,
        training: list[dict[str, Any]] | None = None,
    ) -> None:
        self.network, self.encoder, self.size, self.name = network.eval(), encoder, size, name
        self.card: dict[str, Any] = {"name": name, "training": training or []}
        self.engines: list[tuple[LatentEncoder, SiameseNetwork]] = [(encoder, self.network)]

    @classmethod
    def load(
        cls,
        source: str | os.PathLike[str] = "compact",
        *,
        device: str | torch.device = "cpu",
        encoder: str | os.PathLike[str] | None = None,
        allow_download: bool = False,
    ) -> "LCMem":
        """Load a detector.

        Args:
            source: ``compact`` or ``compact-latent`` (bundled), or a folder that :meth:`save` wrote.
            device: Where to put it. Of several (``cuda:0,cuda:1``) the first does everything, and :meth:`stream` deals
                its batches to all.
            encoder: Where to find the autoencoder, if not where the card says.
            allow_download: Whether a hub autoencoder may be downloaded.

        Raises:
            CheckpointError: Missing, truncated or altered weights, another kind of checkpoint, or another encoder.
            LCMemError: A device that this machine does not have.
        """
        first, *others = usable_devices(device)
        folder = checkpoints.resolve_folder(source)
        card = checkpoints.read_card(folder, KIND, ("network", "sha256", "encoder", "size", "name"))
        with checkpoints.blaming_card(folder):
            network = SiameseNetwork(NetworkSettings(**card["network"])).float()  # whatever torch makes by default
            if not (isinstance(card["size"], int) and card["size"] > 0):
                raise ValueError(f"size is {card['size']!r}")
            used = {name: card["encoder"][name] for name in ("input_range", "latents") if name in card["encoder"]}
            source, sha256, called = (card["encoder"][name] for name in ("source", "sha256", "name"))
        checkpoints.load_weights(folder, network)
        if weights_sha256(network) != card["sha256"]:
            raise CheckpointError(f"{folder}: the weights are not those of its card")
        frozen = load_encoder(encoder or source, device=first, allow_download=allow_download, **used)
        if frozen.card.sha256 != sha256:
            raise CheckpointError(
                f"{folder}: trained on the latents of another encoder ({called}, sha256 {sha256[:12]}…) than "
                f"{frozen.card.name} ({frozen.card.sha256[:12]}…)"
            )
        network.to(first).to(memory_format=torch.channels_last).requires_grad_(False)
        detector = cls(network, frozen, card["size"], name=card["name"])
        detector.card = {key: value for key, value in card.items() if key not in _DERIVED}
        fast = fused(network)
        detector.engines = [(frozen, fast)]
        detector.engines += [(copy.deepcopy(frozen).to(other), copy.deepcopy(fast).to(other)) for other in others]
        return detector

    @classmethod
    def from_pretrained(
        cls,
        source: str | os.PathLike[str],
        *,
        revision: str | None = None,
        allow_download: bool = False,
        **options: Any,
    ) -> "LCMem":
        """Load a detector from a folder or from the Hugging Face hub (``config.json`` and ``model.safetensors``).

        Args:
            source: What :meth:`load` takes, or the name ``owner/model`` of a repository.
            revision: Branch, tag or commit of the repository; None for its main branch.
            allow_download: Whether what the hub's cache lacks may be downloaded.
            **options: ``device`` and ``encoder`` of :meth:`load`.

        Raises:
            CheckpointError: As :meth:`load`, or the repository is not in the cache and may not be downloaded.
        """
        if "/" in os.fspath(source) and not Path(source).exists():
            source = hub_folder(os.fspath(source), revision, allow_download)
        elif revision is not None:
            raise CheckpointError(f"{source}: a revision is one of a repository owner/model, and this is not one")
        return cls.load(source, allow_download=allow_download, **options)

    def save_pretrained(self, folder: str | os.PathLike[str]) -> Path:
        """Write ``config.json`` and ``model.safetensors``, as on a model hub, to a folder that :meth:`save` would take.

        ``README.md``, ``LICENSE`` and hidden files may be there already, as in a new repository of the hub.

        Raises:
            CheckpointError: The folder holds other files, and not a detector that was saved in this way before.
        """
        return checkpoints.save_checkpoint(folder, self.network, self._full_card(), name=checkpoints.CONFIG)

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write weights (float16) and card; what is loaded again is what the card's sha256 names.

        Raises:
            CheckpointError: The folder holds other files, and not a detector that was saved in this way before.
        """
        return checkpoints.save_checkpoint(folder, self.network, self._full_card())

    def _full_card(self) -> dict[str, Any]:
        """The card with what is needed to load it again, of the weights in float16."""
        head = {
            "kind": KIND,
            "sha256": weights_sha256(self.network, saved=True),
            "size": self.size,
            "network": self.network.settings.to_dict(),
            "encoder": self.encoder.card.to_dict(),
        }
        return head | self.card

    @property
    def device(self) -> torch.device:  # type: ignore[override]  # where the network is now
        """Where the network is."""
        return self.network.mean.device

    @cached_property
    def fingerprint(self) -> str:  # type: ignore[override]  # worked out only where it is asked for
        """Names everything that a feature depends on: network, encoder and input size (hexadecimal sha256)."""
        parts = (weights_sha256(self.network), self.encoder.card.sha256, str(self.size))
        return hashlib.sha256(" ".join(parts).encode()).hexdigest()

    def __repr__(self) -> str:
        sees = f"{self.size}-pixel pictures through {self.encoder.card.name}"
        return f"LCMem({self.name!r}: {self.dims} features of {sees}, on {self.device})"

    @cached_property
    def dims(self) -> int:
        """Number of features, D."""
        return self.network.settings.features

    @property
    def contrastive(self) -> bool:
        """Whether NT-Xent was the only aim of every stage for the features.

        The head was then fitted after them, and pairs are compared as that loss compares them (Dar et al. 2023);
        but not where the features have parts, whose weighted L1 distance follows their cosines.
        """
        weights = [stage.get("recipe", {}).get("bce_weight") for stage in self.card["training"]]
        return bool(weights) and not any(weights) and None not in weights and not self.network.settings.parts

    @property
    def head(self) -> Head | None:
        """Weights ``[D]`` and bias that make a logit of two features; None if contrastive."""
        return None if self.contrastive else self.network.head

    @property
    def weight(self) -> Tensor:
        """``[D]``: the head's weight of each feature's difference."""
        return self.network.head.weight.detach()

    @property
    def bias(self) -> Tensor:
        """The logit of a picture with itself, a scalar."""
        return self.network.head.bias.detach()

    def moved(self, device: str | torch.device) -> "LCMem":
        """A copy that does everything on one device."""
        made = copy.copy(self)
        made.network, made.encoder = copy.deepcopy(self.network).to(device), copy.deepcopy(self.encoder).to(device)
        made.engines = [(made.encoder, fused(made.network))]
        return made

    def embed(self, pictures: Tensor) -> Tensor:
        """Features ``[B, D]`` in [0, 1] of uint8 pictures; those of another size than the model's are resized.

        Raises:
            LCMemError: Pictures of another type or shape; :meth:`features` takes floats as well.
        """
        if pictures.dtype != torch.uint8 or pictures.ndim != 4 or pictures.shape[1] != 3:
            given = f"{str(pictures.dtype).removeprefix('torch.')} of shape {tuple(pictures.shape)}"
            raise LCMemError(f"embed takes uint8 pictures [B, 3, S, S], not {given}; features() takes others, too")
        if pictures.shape[-2:] != (self.size, self.size):
            scaled = F.interpolate(pictures.float(), (self.size, self.size), mode="bilinear", antialias=True)
            pictures = scaled.round().clamp(0, 255).to(torch.uint8)
        return _embed(*self.engines[0], pictures).cpu()

    def stream(
        self, paths: Sequence[str], *, batch_size: int | None = None, workers: int | None = None
    ) -> Iterator[tuple[PictureBatch, Tensor]]:
        """Yield ``(PictureBatch, features)`` over many files, in order, decoded by worker processes.

        Each device gets the next batch. GPUs compute behind the back of this process, which only waits for the oldest
        batch when every device has one.
        """
        begun: deque[tuple[PictureBatch, Tensor]] = deque()
        batches = self.decoded(paths, batch_size=batch_size or suited(self.device), workers=workers)
        for (encoder, network), batch in zip(cycle(self.engines), batches, strict=False):
            begun.append((batch, _embed(encoder, network, batch.pictures)))
            if len(begun) == len(self.engines):
                batch, features = begun.popleft()
                yield batch, features.cpu()
        for batch, features in begun:
            yield batch, features.cpu()

    def logits(self, u: Tensor, v: Tensor) -> Tensor:
        """Logits of features ``[..., D]`` that broadcast: higher means more alike; probability = sigmoid(logit)."""
        return pair_logits(u, v, self.weight.to(u.device), self.bias.to(u.device))

    def similarity(self, u: Tensor, v: Tensor) -> Tensor:
        """Logits ``[N]``; cosines of the features centred at 0.5, as NT-Xent sees them, if contrastive."""
        if self.contrastive:
            return F.cosine_similarity(2 * u - 1, 2 * v - 1, dim=1)
        return self.logits(u, v)

    @torch.inference_mode()
    def similarities(self, u: Tensor, v: Tensor) -> Tensor:
        """Logits or cosines ``[N, M]``."""
        if self.contrastive:
            return F.normalize(2 * u - 1, dim=1) @ F.normalize(2 * v - 1, dim=1).T
        return self.network.head.all_pairs(u.to(self.device), v.to(self.device)).cpu()


_DERIVED = ("kind", "sha256", "size", "network", "encoder")


@torch.inference_mode()
def _embed(encoder: LatentEncoder, network: SiameseNetwork, pictures: Tensor) -> Tensor:
    """Features on the network's device, which may still be at work on them."""
    device = network.mean.device
    if not len(pictures):
        return torch.empty(0, network.settings.features, device=device)
    on_cpu = device.type == "cpu"
    parts = pictures.to(device).split(ON_CPU if on_cpu else len(pictures))
    with full_precision(device):
        latents = torch.cat([encoder.encode(to_float(part)) for part in parts])
        return torch.cat([network(part) for part in latents.split(NETWORK_ON_CPU if on_cpu else len(latents))])

"""LCMem: frozen encoder, Siamese network and card in one object."""

import copy
import hashlib
import os
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lcmem import checkpoints
from lcmem.devices import usable_devices
from lcmem.encoders import LatentEncoder, load_encoder, weights_sha256
from lcmem.errors import CheckpointError
from lcmem.model import Head, NetworkSettings, SiameseNetwork, pair_logits
from lcmem.pictures.image import PictureLike, load_levels
from lcmem.pictures.loading import PictureBatch, iterate_pictures, to_float

KIND = "detector"
ON_CPU = 8
"""Pictures that a CPU encodes at once: larger maps leave its cache and are paid for with fresh memory."""


class LCMem:
    """A trained detector.

    Attributes:
        network: The Siamese network, in evaluation mode.
        encoder: The frozen autoencoder.
        size: Side of the square that pictures are squeezed into, in pixels.
        card: What is known about it: name, training, training data, encoder, metrics, licence.
        copies: Encoder and network on each further device.
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
        self.network, self.encoder, self.size = network.eval(), encoder, size
        self.card: dict[str, Any] = {"name": name, "training": training or []}
        self.copies: list[tuple[LatentEncoder, SiameseNetwork]] = []

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
            source: ``compact`` (bundled), or a folder that :meth:`save` wrote.
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
        card = checkpoints.read_card(folder, KIND)
        network = SiameseNetwork(NetworkSettings(**card["network"]))
        checkpoints.load_weights(folder, network)
        if weights_sha256(network) != card["sha256"]:
            raise CheckpointError(f"{folder}: the weights are not those of its card")
        protocol = card["encoder"].get("protocol", "fixed")
        place = encoder or card["encoder"]["source"]
        frozen = load_encoder(place, device=first, protocol=protocol, allow_download=allow_download)
        if frozen.card.sha256 != card["encoder"]["sha256"]:
            raise CheckpointError(
                f"{folder}: trained on the latents of another encoder ({card['encoder']['name']}, sha256 "
                f"{card['encoder']['sha256'][:12]}…) than {frozen.card.name} ({frozen.card.sha256[:12]}…)"
            )
        network.to(first).to(memory_format=torch.channels_last).requires_grad_(False)
        detector = cls(network, frozen, card["size"], name=card["name"])
        detector.card = {key: value for key, value in card.items() if key not in _DERIVED}
        detector.copies = [(copy.deepcopy(frozen).to(other), copy.deepcopy(network).to(other)) for other in others]
        return detector

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write weights (float16) and card; what is loaded again is what the card's sha256 names."""
        rounded = SiameseNetwork(self.network.settings)
        rounded.load_state_dict({name: value.half().float() for name, value in self.network.state_dict().items()})
        head = {
            "kind": KIND,
            "sha256": weights_sha256(rounded),
            "size": self.size,
            "network": self.network.settings.to_dict(),
            "encoder": self.encoder.card.to_dict(),
        }
        return checkpoints.save_checkpoint(folder, self.network, head | self.card, dtype=torch.float16)

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return self.network.mean.device

    @property
    def fingerprint(self) -> str:
        """Names everything that a feature depends on: network, encoder and input size (hexadecimal sha256)."""
        parts = (weights_sha256(self.network), self.encoder.card.sha256, str(self.size))
        return hashlib.sha256(" ".join(parts).encode()).hexdigest()

    @property
    def head(self) -> Head:
        """What makes one logit of two features: weights ``[D]`` and a bias."""
        return self.network.head

    @property
    def weight(self) -> Tensor:
        """``[D]``: the head's weight of each feature's difference."""
        return self.network.head.weight.detach()

    @property
    def bias(self) -> Tensor:
        """The logit of a picture with itself, a scalar."""
        return self.network.head.bias.detach()

    def embed(self, pictures: Tensor) -> Tensor:
        """Features ``[B, D]`` (on the CPU) of uint8 pictures ``[B, 3, size, size]``."""
        return _embed(self.encoder, self.network, pictures).cpu()

    def features(self, pictures: PictureLike | Sequence[PictureLike], *, batch_size: int = 64) -> Tensor:
        """Features u of pictures.

        Args:
            pictures: One or several of what :func:`lcmem.pictures.image.load_picture` takes.
            batch_size: Changes the speed, not the result.

        Returns:
            ``[N, D]`` float32 in [0, 1]; N = 1 for a single picture.

        Raises:
            PictureError: One of them cannot be read.
        """
        many: list[Any] = list(pictures) if isinstance(pictures, list | tuple) else [pictures]
        parts = []
        for start in range(0, len(many), batch_size):
            chunk = [torch.from_numpy(load_levels(picture, self.size)) for picture in many[start : start + batch_size]]
            parts.append(self.embed(torch.stack(chunk)))
        return torch.cat(parts) if parts else torch.empty(0, self.network.settings.features)

    def stream(
        self, paths: Sequence[str], *, batch_size: int = 64, workers: int | None = None
    ) -> Iterator[tuple[PictureBatch, Tensor]]:
        """Yield ``(PictureBatch, features)`` over many files, in order, decoded by worker processes.

        Each device gets the next batch. GPUs compute behind the back of this process, which only waits for the oldest
        batch when every device has one.
        """
        devices = [(self.encoder, self.network), *self.copies]
        begun: deque[tuple[PictureBatch, Tensor]] = deque()
        batches = iterate_pictures(paths, self.size, batch_size=batch_size, workers=workers)
        for (encoder, network), batch in zip(cycle(devices), batches, strict=False):
            begun.append((batch, _embed(encoder, network, batch.pictures)))
            if len(begun) == len(devices):
                batch, features = begun.popleft()
                yield batch, features.cpu()
        for batch, features in begun:
            yield batch, features.cpu()

    def logits(self, u: Tensor, v: Tensor) -> Tensor:
        """Logits of features ``[..., D]`` that broadcast: higher means more alike; probability = sigmoid(logit)."""
        return pair_logits(u, v, self.weight.to(u.device), self.bias.to(u.device))

    def score(self, a: PictureLike | Sequence[PictureLike], b: PictureLike | Sequence[PictureLike]) -> float | Tensor:
        """Logit of whether two pictures show the same identity, or one is an edited copy of the other.

        Args:
            a: A picture, or N of them.
            b: A picture, or N of them.

        Returns:
            A float for two single pictures, else ``[N]`` (a single one is compared with each of the others).
            The probability is the sigmoid of it.
        """
        logits = self.logits(self.features(a), self.features(b))
        single = not isinstance(a, list | tuple) and not isinstance(b, list | tuple)
        return float(logits[0]) if single else logits


_DERIVED = ("kind", "sha256", "size", "network", "encoder")


@torch.inference_mode()
def _embed(encoder: LatentEncoder, network: SiameseNetwork, pictures: Tensor) -> Tensor:
    """Features on the network's device, which may still be at work on them."""
    device = network.mean.device
    if not len(pictures):
        return torch.empty(0, network.settings.features, device=device)
    parts = pictures.to(device).split(ON_CPU if device.type == "cpu" else len(pictures))
    return network(torch.cat([encoder.encode(to_float(part)) for part in parts]))

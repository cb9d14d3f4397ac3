"""The Siamese network: latents to features, features of two pictures to a logit."""

from dataclasses import asdict, dataclass, field, replace
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lcmem.errors import LCMemError
from lcmem.model.faces import MIDDLE, FaceExpert
from lcmem.model.head import HEADS

TARGET_STD = 0.5
"""Latents are scaled to mean 0 and this standard deviation in each channel (paper, section 3.1, after EDM)."""
GAIN_LIMIT = 1.2
"""Largest logarithm of a gain: a picture unlike all that the gain was fitted on is stretched by 0.3 to 3.3."""


@dataclass(frozen=True)
class NetworkSettings:
    """What is needed to build the network again.

    Attributes:
        backbone: timm's name of an architecture.
        options: Further keyword arguments for ``timm.create_model``.
        channels: Latent channels.
        unshuffle: Space-to-depth factor before the backbone: 2 makes 16×16×16 of a 4×32×32 latent, for less work.
        features: Number of features u (512 in the paper).
        head: ``metric`` or ``linear``.
        parts: Sizes of the parts of the backbone's output that are each brought to one length before the sigmoid, so
            that the L1 distance of a part follows its cosine; none leaves the output as it is (the paper).
        gain: Whether a linear layer on the last part says how far the other parts of a picture are stretched before
            the sigmoid. Photos of one person differ by more than two X-rays of strangers do; with a gain of its own for
            each kind of picture, one head serves them all.
        faces: Side in pixels of the pictures in which a face recogniser finds faces, to have a say in the first part of
            theirs; 0 for no recogniser.
    """

    backbone: str = "convnext_tiny"
    options: dict[str, Any] = field(default_factory=dict)
    channels: int = 4
    unshuffle: int = 1
    features: int = 512
    head: str = "metric"
    parts: list[int] = field(default_factory=list)
    gain: bool = False
    faces: int = 0

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return asdict(self)


class SiameseNetwork(nn.Module):
    """``u = sigmoid(backbone(normalise(z)))`` and a head on ``|u − u'|`` (paper, section 3.1).

    The channel statistics by which latents are normalised belong to the weights: at audit time nobody knows which
    dataset a picture is from.
    """

    mean: Tensor
    std: Tensor
    gain: nn.Linear | None
    faces: FaceExpert | None

    def __init__(self, settings: NetworkSettings) -> None:
        import timm  # takes a second and a half, which who scans features or asks for help need not wait for

        super().__init__()
        if settings.head not in HEADS:
            raise LCMemError(f"unknown head {settings.head!r}; known: {', '.join(HEADS)}")
        if settings.parts and sum(settings.parts) != settings.features:
            raise LCMemError(f"parts {settings.parts} do not add up to {settings.features} features")
        if settings.gain and len(settings.parts) < 2:
            raise LCMemError(f"a gain needs at least two parts, not {settings.parts}")
        self.settings = settings
        self.unshuffle = nn.PixelUnshuffle(settings.unshuffle)
        self.backbone = timm.create_model(
            settings.backbone,
            in_chans=settings.channels * settings.unshuffle**2,
            num_classes=settings.features,
            **settings.options,
        )
        self.head = HEADS[settings.head](settings.features)
        self.gain = nn.Linear(settings.parts[-1], 1) if settings.gain else None
        if self.gain is not None:
            nn.init.zeros_(self.gain.weight)
            nn.init.zeros_(self.gain.bias)
        self.faces = self._face_expert() if settings.faces else None
        self.register_buffer("mean", torch.zeros(settings.channels))
        self.register_buffer("std", torch.full((settings.channels,), TARGET_STD))

    def _face_expert(self) -> FaceExpert:
        """An expert that fits the backbone's maps.

        Raises:
            LCMemError: The network does not work on pixels, or has no parts.
        """
        settings = self.settings
        if not settings.parts or settings.channels != 3 or settings.unshuffle != 1:
            raise LCMemError("a recogniser of faces needs a network on pixels with parts")
        scale = cast(Any, self.backbone).feature_info[MIDDLE]
        return FaceExpert(scale["num_chs"], settings.faces // scale["reduction"], settings.parts[0])

    @property
    def last_layer(self) -> nn.Linear:
        """The backbone's last layer, which makes the features before the sigmoid."""
        return cast(nn.Linear, cast(Any, self.backbone).get_classifier())

    def normalise(self, latents: Tensor) -> Tensor:
        """Latents ``[B, C, h, w]`` to mean 0 and standard deviation 0.5 over the training mix."""
        return (latents - self.mean[:, None, None]) * (TARGET_STD / self.std[:, None, None])

    def forward(self, latents: Tensor) -> Tensor:
        """Latents ``[B, C, h, w]`` to features u ``[B, D]`` in [0, 1]."""
        return self.embed(self.normalise(latents))

    def embed(self, normalised: Tensor) -> Tensor:
        """Normalised latents ``[B, C, h, w]`` to features u ``[B, D]`` in [0, 1]."""
        return self.features_of(self.outputs(normalised))

    def outputs(self, normalised: Tensor) -> Tensor:
        """What the backbone says of normalised latents ``[B, C, h, w]``, with the recogniser's say: ``[B, D]``."""
        if self.faces is None:
            output: Tensor = self.backbone(self.unshuffle(normalised))
            return output
        backbone = cast(Any, self.backbone)
        last, (maps,) = backbone.forward_intermediates(normalised, indices=[MIDDLE])
        output = backbone.forward_head(last)
        said = self.faces(self._symmetric(normalised), maps)
        identity, others = output.split([said.shape[1], output.shape[1] - said.shape[1]], dim=1)
        both = torch.where(said.any(1, keepdim=True), F.normalize(identity, dim=1) + said, identity)
        return torch.cat((both, others), dim=1)

    def without_faces(self) -> "SiameseNetwork":
        """Take the recogniser out, in place: training is for the rest."""
        self.faces, self.settings = None, replace(self.settings, faces=0)
        return self

    def _symmetric(self, normalised: Tensor) -> Tensor:
        """Pixels in [-1, 1] again, whatever statistics the backbone wants."""
        pixels = normalised * (self.std / TARGET_STD)[:, None, None] + self.mean[:, None, None]
        return 2 * pixels - 1

    def features_of(self, output: Tensor) -> Tensor:
        """What :meth:`outputs` says to features u ``[B, D]`` in [0, 1]."""
        if self.settings.parts:
            output = self._scale([_unit_scale(part) for part in output.split(self.settings.parts, dim=1)])
        return torch.sigmoid(output)

    def _scale(self, parts: list[Tensor]) -> Tensor:
        """Parts ``[B, n]`` of one length to ``[B, D]``, all but the last stretched by the picture's gain."""
        if self.gain is not None:
            stretch = torch.exp(GAIN_LIMIT * torch.tanh(self.gain(parts[-1])))
            parts = [part * stretch for part in parts[:-1]] + parts[-1:]
        return torch.cat(parts, dim=1)


def _unit_scale(part: Tensor) -> Tensor:
    """Each row of ``[B, n]`` to a root mean square of 1: the sigmoid is nearly straight there."""
    return F.normalize(part.float(), dim=1) * part.shape[1] ** 0.5


def normalise_samples(latents: Tensor) -> Tensor:
    """Each sample's channels to mean 0, standard deviation 0.5 (the paper's SWN); ``[B, C, h, w]`` both ways."""
    std, mean = torch.std_mean(latents, dim=(2, 3), keepdim=True)
    return (latents - mean) * (TARGET_STD / std.clamp_min(1e-3))

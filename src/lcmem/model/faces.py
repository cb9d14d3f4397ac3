"""A face recogniser inside the Siamese network: it is asked about pictures that show a face, and of no others."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CROP = 112
"""Side in pixels of the upright face that the recogniser sees."""
FEATURES = 128
AT_ONCE = 4
"""Crops that the recogniser sees together on a CPU: the maps of more leave its caches, which costs up to 1.6 times."""
SUMS = 64
"""Parts of the recogniser's last sum: one of 50,176 terms has a rounding that depends on how many faces are summed."""
LIKELY, CERTAIN = 0.8, 0.9
"""Probabilities of a face above which the recogniser has a say, and its whole say."""
MIDDLE = 3
"""Which of timm's feature maps shows where a face is: the one at a sixteenth of the picture's side."""
USUAL = 0.6
"""Share of the picture's side that the crop covers if the aligner says 0."""
STEPS = (
    (32, 64, 1),
    (64, 128, 2),
    (128, 128, 1),
    (128, 256, 2),
    (256, 256, 1),
    (256, 512, 2),
    *[(512, 512, 1)] * 5,
    (512, 1024, 2),
    (1024, 1024, 1),
)
"""Channels in, channels out and stride of each step of the recogniser."""


class FaceExpert(nn.Module):
    """Finds the face of a picture, turns it upright and says in the terms of a part of the features who it shows.

    Args:
        channels: Of the backbone's map at a sixteenth of the picture's side.
        side: Of that map.
        part: Size of the part of the features that it has a say in.
    """

    def __init__(self, channels: int, side: int, part: int) -> None:
        super().__init__()
        self.aligner = Aligner(channels, side)
        self.recogniser = MobileFaceNet()
        self.say = nn.Linear(FEATURES, part, bias=False)

    def forward(self, pictures: Tensor, maps: Tensor) -> Tensor:
        """What to add to the part, ``[B, part]``: the recogniser's say, less of it the less sure the aligner is.

        It is exactly 0 below :data:`LIKELY`, and nothing is computed there.

        Args:
            pictures: ``[B, 3, S, S]`` in [-1, 1].
            maps: The backbone's map of each, ``[B, channels, side, side]``.
        """
        places, logits = self.aligner(maps)
        sure = ((torch.sigmoid(logits) - LIKELY) / (CERTAIN - LIKELY)).clamp(0, 1)
        said = sure.new_zeros(len(sure), self.say.out_features)
        rows = torch.nonzero(sure).squeeze(1)
        if len(rows):
            crops = upright(pictures[rows], places[rows])
            together = AT_ONCE if crops.device.type == "cpu" else len(crops)
            who = torch.cat([self.recogniser(some) for some in crops.split(together)])
            said[rows] = sure[rows, None] * self.say(F.normalize(who.float(), dim=1))
        return said


class Aligner(nn.Module):
    """Where the upright face lies in a picture and whether there is one, from a map of the backbone."""

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, 32, 1)
        self.hidden = nn.Linear(32 * side**2, 64)
        self.out = nn.Linear(64, 7)

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Maps ``[B, channels, side, side]`` to places ``[B, 2, 3]`` and the logits ``[B]`` of a face.

        A place brings pixels (x, y, 1) of the crop to shares of the picture's width and height. Its six numbers are
        free, since pictures that were squeezed into a square need more than a turn.
        """
        size, aspect, right, down, x, y, logits = self.out(
            F.relu(self.hidden(F.relu(self.reduce(maps)).flatten(1)))
        ).unbind(1)
        pixel = torch.exp(size) * USUAL / CROP
        rows = (pixel * torch.exp(aspect), -pixel * right, pixel * down, pixel * torch.exp(-aspect))
        turn = torch.stack(rows, dim=1).view(-1, 2, 2)
        centre = (torch.stack((x, y), dim=1) + 1) / 2
        return torch.cat((turn, (centre - turn.sum(2) * (CROP / 2))[:, :, None]), dim=2), logits


def upright(pictures: Tensor, places: Tensor) -> Tensor:
    """The faces of pictures ``[B, C, S, S]`` at places ``[B, 2, 3]``: ``[B, C, 112, 112]``; borders are repeated."""
    pixels = torch.arange(CROP, device=places.device, dtype=places.dtype) + 0.5
    y, x = torch.meshgrid(pixels, pixels, indexing="ij")
    grid = torch.stack((x, y, torch.ones_like(x)), dim=-1) @ places.transpose(1, 2)[:, None]
    return F.grid_sample(pictures, grid * 2 - 1, mode="bilinear", padding_mode="border", align_corners=False)


class MobileFaceNet(nn.Module):
    """The network of SFace (Zhong et al. 2021) with its batch normalisations folded into the layers before them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, STEPS[0][0], 3, padding=1), nn.PReLU(STEPS[0][0]))
        self.steps = nn.Sequential(*[_step(*step) for step in STEPS])
        self.last = nn.Linear(STEPS[-1][1] * (CROP // 16) ** 2, FEATURES)

    def forward(self, faces: Tensor) -> Tensor:
        """Upright faces ``[B, 3, 112, 112]`` in [-1, 1] to ``[B, 128]``, compared by their cosine."""
        maps = self.steps(self.stem(faces)).flatten(1).unflatten(1, (SUMS, -1)).transpose(0, 1)
        weight = self.last.weight.unflatten(1, (SUMS, -1)).permute(1, 2, 0)
        return torch.bmm(maps, weight).sum(0) + self.last.bias


def _step(before: int, after: int, stride: int) -> nn.Sequential:
    """A depthwise and a pointwise convolution."""
    depthwise = nn.Conv2d(before, before, 3, stride, padding=1, groups=before)
    return nn.Sequential(depthwise, nn.PReLU(before), nn.Conv2d(before, after, 1), nn.PReLU(after))

"""The heads: features of two pictures become one logit."""

import math
from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def pair_logits(u: Tensor, v: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """``b − Σ_k w_k |u_k − v_k|`` (paper, section 3.1), summed in float64.

    Every reported score comes from here, so that pair, scan and index agree whatever found the pair.

    Args:
        u: Features ``[..., D]``.
        v: Features ``[..., D]``, broadcast against u.
        weight: ``[D]``.
        bias: A scalar.

    Returns:
        Logits ``[...]``, float64.
    """
    distances = u.double() - v.double()
    return bias.double() - distances.abs_().mul_(weight.double()).sum(-1)  # in place: half the time is memory


class Head(nn.Module, ABC):
    """A weight for each feature and a bias."""

    bias: nn.Parameter

    @property
    @abstractmethod
    def weight(self) -> Tensor:
        """``[D]``: how much each feature's difference speaks against one identity."""

    def forward(self, u: Tensor, v: Tensor) -> Tensor:
        """Logits ``[...]`` of features ``[..., D]`` that broadcast, differentiable, in their own precision."""
        return self.bias - ((u - v).abs() * self.weight).sum(-1)

    def all_pairs(self, u: Tensor, v: Tensor) -> Tensor:
        """Logits ``[N, M]`` of every pair of ``[N, D]`` and ``[M, D]``, differentiable.

        The weights go into the features, so that ``torch.cdist`` needs N·M numbers of memory, not N·M·D; weights of
        either sign are summed apart.
        """
        against, towards = self.weight.clamp_min(0), (-self.weight).clamp_min(0)
        logits = self.bias - torch.cdist(u * against, v * against, p=1)
        if bool(towards.any()):
            logits = logits + torch.cdist(u * towards, v * towards, p=1)
        return logits


class MetricHead(Head):
    """``w_k = softplus(·) ≥ 0``: the distance is a weighted L1 metric, a picture is closest to itself.

    Args:
        features: D.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        start = 20 / features  # random features differ by about a third, so unrelated pictures start near p = 0
        self.raw_weight = nn.Parameter(torch.empty(features))
        self.set_weight(torch.full((features,), start))
        self.bias = nn.Parameter(torch.tensor(3.0))

    @property
    def weight(self) -> Tensor:
        """``[D]``, not negative."""
        return F.softplus(self.raw_weight)

    @torch.no_grad()
    def set_weight(self, weight: Tensor) -> None:
        """Make the weights ``[D]``, all above 0."""
        self.raw_weight.copy_(weight + torch.log(-torch.expm1(-weight)))  # the inverse of softplus


class LinearHead(Head):
    """The paper's unconstrained linear layer on ``|u − u'|``."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.raw_weight = nn.Parameter(torch.empty(features).uniform_(-1, 1) / math.sqrt(features))
        self.bias = nn.Parameter(torch.zeros(()))

    @property
    def weight(self) -> Tensor:
        """``[D]``, of either sign."""
        return self.raw_weight


HEADS: dict[str, type[Head]] = {"metric": MetricHead, "linear": LinearHead}

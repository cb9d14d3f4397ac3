"""Fitting the head, and the gain, of a trained network on pictures of identities that it has not seen."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lcmem.errors import LCMemError
from lcmem.model import SiameseNetwork
from lcmem.model.head import MetricHead
from lcmem.pairs import split_by_dataset
from lcmem.training.validation import ValidationList

DECAY = 0.005
"""Penalty on the squared weights of the gain."""


@dataclass(frozen=True)
class LabelledPairs:
    """Pairs of the pictures of one dataset.

    Attributes:
        outputs: What the backbone says of each picture, ``[N, D]``.
        first: Row of the first picture of each pair, ``[P]``.
        second: Of the second.
        same: Whether they belong together, ``[P]`` booleans, of both kinds.
    """

    outputs: Tensor
    first: Tensor
    second: Tensor
    same: Tensor

    def loss(self, logits: Tensor) -> Tensor:
        """Mean cross entropy of logits ``[P]``, both kinds of pairs counting as half."""
        losses = F.softplus(torch.where(self.same, -logits, logits))
        return (losses[self.same].mean() + losses[~self.same].mean()) / 2


@torch.no_grad()
def labelled_pairs(network: SiameseNetwork, pairs: ValidationList) -> dict[str, LabelledPairs]:
    """The pairs of each dataset, with what the network's backbone says of their pictures."""
    device = next(network.parameters()).device

    def embed(latents: Tensor) -> Tensor:
        return network.outputs(network.normalise(latents.to(device))).float()

    outputs = pairs.outputs(embed)
    second = pairs.pairs.second + (0 if pairs.second is None else len(pairs.store))
    return {
        name: LabelledPairs(
            outputs, *(torch.from_numpy(rows[at]) for rows in (pairs.pairs.first, second, pairs.pairs.same))
        )
        for name, at in split_by_dataset(pairs.store.manifest, pairs.pairs)
    }


def fit_head(network: SiameseNetwork, datasets: Sequence[LabelledPairs], *, shares: Sequence[float]) -> float:
    """Fit the head's bias and scale, and the gain, by logistic regression; every dataset counts alike.

    How much each part counts is given, not fitted: the identities at hand are of the domains that the network was
    trained on, so a general part, which is there for all others, would be left with nothing.

    Args:
        network: A network with parts and a metric head; changed in place.
        datasets: Pairs of each dataset.
        shares: Of each part in the distance; they add up to 1.

    Returns:
        The loss that was reached.

    Raises:
        LCMemError: The head is linear.
    """
    if not isinstance(network.head, MetricHead):
        raise LCMemError("only a metric head can be fitted part by part")
    parts = network.settings.parts
    share = torch.cat([torch.full((size,), part / size) for size, part in zip(parts, shares, strict=True)])
    scale = torch.tensor(4.0, requires_grad=True)
    line = [network.head.bias, scale]
    losses = [_minimise(network, datasets, share, scale, line)]
    if network.gain is not None:  # from the best line: together at once they can end worse
        losses.append(_minimise(network, datasets, share, scale, [*line, *network.gain.parameters()]))
    with torch.no_grad():
        network.head.set_weight(share * scale.exp())
    return losses[-1]


def _minimise(
    network: SiameseNetwork, datasets: Sequence[LabelledPairs], share: Tensor, scale: Tensor, parameters: list[Tensor]
) -> float:
    for parameter in parameters:
        parameter.requires_grad_(True)  # averaged weights have none
    optimiser = torch.optim.LBFGS(parameters, max_iter=100, line_search_fn="strong_wolfe")

    def step() -> Tensor:
        optimiser.zero_grad()
        losses = [part.loss(_logits(network, part, share * scale.exp())) for part in datasets]
        loss = torch.stack(losses).mean()
        if network.gain is not None:
            loss = loss + DECAY * network.settings.parts[-1] * network.gain.weight.square().sum()
        loss.backward()
        return loss

    optimiser.step(step)
    return float(step().detach())


def _logits(network: SiameseNetwork, pairs: LabelledPairs, weight: Tensor) -> Tensor:
    features = network.features_of(pairs.outputs)
    gaps = (features[pairs.first] - features[pairs.second]).abs()
    logits: Tensor = network.head.bias - gaps @ weight
    return logits

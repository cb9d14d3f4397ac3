"""The combined loss (paper, equations 1 to 3)."""

import torch
import torch.nn.functional as F
from torch import Tensor


def nt_xent(
    u: Tensor,
    v: Tensor,
    identity: Tensor,
    temperature: float = 0.07,
    *,
    domain: Tensor | None = None,
    weight: Tensor | None = None,
) -> Tensor:
    """NT-Xent over B pairs of views (paper, equation 1), as one dense masked 2B×2B softmax.

    Row i of ``u`` and row i of ``v`` are positives. Other rows of the same identity are neither positive nor
    negative: they are masked out.

    Args:
        u: Features ``[B, D]`` of the first pictures.
        v: Features ``[B, D]`` of the second pictures.
        identity: Integer label of each pair, ``[B]``.
        temperature: τ.
        domain: Integer of each pair's domain, ``[B]``: only rows of the same domain are negatives. None: all are.
        weight: Of each pair, ``[B]``. None: all count alike.

    Returns:
        The mean over the 2B rows, each with its weight, a scalar.

    Raises:
        ValueError: The temperature is not positive, or the shapes differ.
    """
    if temperature <= 0:
        raise ValueError(f"temperature must be positive, not {temperature}")
    if u.shape != v.shape or identity.shape != u.shape[:1]:
        raise ValueError(f"shapes do not fit: {tuple(u.shape)}, {tuple(v.shape)}, {tuple(identity.shape)}")
    pairs = len(u)
    views = F.normalize(torch.cat((u, v)).float(), dim=1)
    similarity = torch.einsum("id,jd->ij", views, views) / temperature
    positive = torch.arange(2 * pairs, device=u.device).roll(pairs)
    same = identity.repeat(2)[:, None] == identity.repeat(2)[None]
    if domain is not None:
        same |= domain.repeat(2)[:, None] != domain.repeat(2)[None]
    same[torch.arange(2 * pairs, device=u.device), positive] = False
    losses = F.cross_entropy(similarity.masked_fill(same, float("-inf")), positive, reduction="none")
    return (losses if weight is None else losses * weight.repeat(2)).mean()


def pair_bce(logits: Tensor, identity: Tensor, domain: Tensor | None = None) -> Tensor:
    """Binary cross-entropy (paper, equation 2) over all pairs in a batch.

    Args:
        logits: ``[B, B]``; entry (i, j) compares the first picture of pair i with the second of pair j.
        identity: Integer label of each pair, ``[B]``.
        domain: Integer of each pair's domain, ``[B]``: only pairs within a domain are negatives. None: all are.

    Returns:
        The mean over the positives (the diagonal) plus the mean over the negatives, halved: p = 0.5 separates them as
        if both were equally frequent. Pairs of one identity off the diagonal do not count.
    """
    positives = F.softplus(-logits.diagonal()).mean()
    different = identity[:, None] != identity[None]
    if domain is not None:
        different &= domain[:, None] == domain[None]
    if not different.any():
        return positives
    return (positives + F.softplus(logits[different]).mean()) / 2


def combined_loss(
    u: Tensor,
    v: Tensor,
    logits: Tensor,
    identity: Tensor,
    *,
    bce_weight: float = 0.8,
    temperature: float = 0.07,
    domain: Tensor | None = None,
    weight: Tensor | None = None,
    contrasted: int | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """``bce_weight · BCE + (1 − bce_weight) · NT-Xent`` (paper, equation 3, with the weights named).

    The features lie in [0, 1]; NT-Xent sees them centred, since vectors without a negative entry cannot point away
    from each other. For features near 0 or 1 that cosine is one minus the L1 distance up to scale: both terms then
    pull the same way.

    Args:
        u: Features ``[B, D]`` of the first pictures.
        v: Features ``[B, D]`` of the second pictures.
        logits: ``[B, B]``, as :func:`pair_bce` takes them.
        identity: Integer label of each pair, ``[B]``.
        bce_weight: Weight of the BCE.
        temperature: τ of NT-Xent.
        domain: As of :func:`nt_xent`, for both terms.
        weight: As of :func:`nt_xent`, for that term alone.
        contrasted: How many of the first features NT-Xent sees; None: all.

    Returns:
        The loss and its two parts.
    """
    bce = pair_bce(logits, identity, domain)
    left, right = (2 * features[:, :contrasted] - 1 for features in (u, v))
    contrast = nt_xent(left, right, identity, temperature, domain=domain, weight=weight)
    return bce_weight * bce + (1 - bce_weight) * contrast, bce, contrast

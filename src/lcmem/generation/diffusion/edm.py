"""Diffusion as of Karras et al. 2022 (EDM): preconditioning, loss and the deterministic second-order sampler."""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

SIGMA_DATA = 0.5
"""Standard deviation that latents are scaled to."""
SIGMA_MIN, SIGMA_MAX, RHO = 0.002, 80.0, 7.0
"""Lowest and highest noise level and exponent of the sampler's schedule (EDM, table 1)."""
STEPS = 32

Network = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""F of scaled latents ``[B, C, h, w]``, c_noise ``[B]`` and conditions ``[B, K]`` or None, of the latents' shape."""
Denoiser = Callable[[Tensor, Tensor], Tensor]
"""D of noisy latents ``[B, …]`` and σ ``[B]``: an estimate of the clean ones."""


def _wide(sigma: Tensor, like: Tensor) -> Tensor:
    return sigma.reshape(-1, *[1] * (like.ndim - 1))


def denoise(network: Network, noisy: Tensor, sigma: Tensor, condition: Tensor | None) -> Tensor:
    """``D(x; σ, c) = c_skip·x + c_out·F(c_in·x, c_noise, c)`` (EDM, equation 7).

    Args:
        network: F.
        noisy: ``[B, C, h, w]``.
        sigma: ``[B]``.
        condition: ``[B, K]``, or None.
    """
    s = _wide(sigma, noisy)
    total = s**2 + SIGMA_DATA**2
    scaled = network(noisy / total.sqrt(), sigma.log() / 4, condition)
    return SIGMA_DATA**2 / total * noisy + s * SIGMA_DATA / total.sqrt() * scaled


def loss_of(network: Network, clean: Tensor, noise: Tensor, sigma: Tensor, condition: Tensor | None) -> Tensor:
    """``λ(σ) ‖D(y + n) − y‖²``, mean over elements, for each sample ``[B]`` (EDM, equation 2; λ of table 1).

    Args:
        network: F.
        clean: y, ``[B, C, h, w]``.
        noise: Of standard deviation 1, of the same shape.
        sigma: ``[B]``.
        condition: ``[B, K]``, or None.
    """
    found = denoise(network, clean + _wide(sigma, clean) * noise, sigma, condition)
    weight = (sigma**2 + SIGMA_DATA**2) / (sigma * SIGMA_DATA) ** 2
    return weight * (found - clean).square().flatten(1).mean(1)


def schedule(steps: int = STEPS, sigma_max: float = SIGMA_MAX) -> Tensor:
    """Noise levels ``[steps + 1]`` float64 from ``sigma_max`` to 0 (EDM, equation 5)."""
    at = torch.arange(steps, dtype=torch.float64) / max(steps - 1, 1)
    high, low = sigma_max ** (1 / RHO), min(SIGMA_MIN, sigma_max) ** (1 / RHO)
    return torch.cat([(high + at * (low - high)) ** RHO, torch.zeros(1, dtype=torch.float64)])


def sample(denoiser: Denoiser, start: Tensor, steps: int = STEPS, sigma_max: float = SIGMA_MAX) -> Tensor:
    """Heun's method without churn (EDM, algorithm 1): ``2·steps − 1`` evaluations.

    Args:
        denoiser: D.
        start: Noisy latents ``[B, C, h, w]`` of noise level ``sigma_max``.
        steps: Number of steps.
        sigma_max: Where the schedule begins: for whole samples :data:`SIGMA_MAX`, less to denoise pictures.
    """
    levels, x = schedule(steps, sigma_max).tolist(), start
    for now, following in pairwise(levels):
        slope = (x - denoiser(x, x.new_full((len(x),), now))) / now
        moved = x + (following - now) * slope
        if following > 0:
            second = (moved - denoiser(moved, x.new_full((len(x),), following))) / following
            moved = x + (following - now) * (slope + second) / 2
        x = moved
    return x


def guided(main: Denoiser, guide: Denoiser, strength: float) -> Denoiser:
    """``D = D_guide + g·(D_main − D_guide)``: autoguidance (Karras et al. 2024) by a weaker version of the network."""

    def denoiser(noisy: Tensor, sigma: Tensor) -> Tensor:
        weak = guide(noisy, sigma)
        return weak + strength * (main(noisy, sigma) - weak)

    return denoiser


def noise_of(seeds: list[int], shape: tuple[int, ...]) -> Tensor:
    """Normal noise ``[n, *shape]``, each row from its own seed alone."""
    return torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds])

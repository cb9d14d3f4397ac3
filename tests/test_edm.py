"""EDM's preconditioning, loss and sampler reproduce targets that are known in closed form."""

import pytest
import torch

from lcmem.errors import LCMemError
from lcmem.generation.diffusion.edm import SIGMA_DATA, SIGMA_MAX, denoise, guided, loss_of, noise_of, sample, schedule
from lcmem.generation.diffusion.network import ConditionalUnet
from lcmem.generation.diffusion.settings import PRESETS, Unet, load_preset

MEAN, STD = 0.2, 0.6


def ideal(noisy, sigma):
    """The best denoiser of data from N(MEAN, STD²)."""
    s = sigma.reshape(-1, *[1] * (noisy.ndim - 1))
    return (STD**2 * noisy + s**2 * MEAN) / (STD**2 + s**2)


def ideal_network(scaled, noise, condition):
    """F that makes D ideal under the preconditioning of EDM, written out."""
    s = (4 * noise).exp().reshape(-1, *[1] * (scaled.ndim - 1))
    root = (s**2 + SIGMA_DATA**2).sqrt()
    noisy = scaled * root
    return (ideal(noisy, s.flatten()) - SIGMA_DATA**2 / root**2 * noisy) * root / (s * SIGMA_DATA)


def drawn(steps):
    """Samples of the target and what solving the flow exactly makes of the same noise."""
    start = SIGMA_MAX * torch.randn(20_000, 1, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = sample(lambda noisy, sigma: denoise(ideal_network, noisy, sigma, None), start, steps)
    return found, MEAN + (start - MEAN) * STD / (STD**2 + SIGMA_MAX**2) ** 0.5


def test_a_gaussian_target_is_reproduced_to_one_percent():
    found, exact = drawn(64)
    assert found.mean().item() == pytest.approx(exact.mean().item(), abs=0.01 * STD)
    assert found.std().item() == pytest.approx(exact.std().item(), rel=0.01)
    assert (found - exact).square().mean().sqrt() < 0.01 * STD


def test_the_sampler_is_of_second_order():
    errors = [(found - exact).square().mean().sqrt().item() for found, exact in map(drawn, (32, 64))]
    assert errors[0] / errors[1] > 3.3, "half the step, a quarter of the error"


def test_preconditioning_undoes_itself():
    noisy, sigma = torch.randn(64, 3, 4, 4, dtype=torch.float64) * 3, torch.logspace(-2.5, 1.9, 64, dtype=torch.float64)
    torch.testing.assert_close(denoise(ideal_network, noisy, sigma, None), ideal(noisy, sigma))


def test_loss_is_one_at_the_start_whatever_the_noise():
    generator = torch.Generator().manual_seed(0)
    clean = SIGMA_DATA * torch.randn(4000, 1, 4, 4, generator=generator)
    noise = torch.randn(clean.shape, generator=generator)
    for level in (0.01, 0.5, 20.0):
        sigma = torch.full((len(clean),), level)
        found = loss_of(lambda scaled, noise, condition: torch.zeros_like(scaled), clean, noise, sigma, None)
        assert found.mean().item() == pytest.approx(1, rel=0.02)


def test_the_ideal_network_has_the_least_loss():
    generator = torch.Generator().manual_seed(0)
    clean = MEAN + STD * torch.randn(20_000, 1, 1, 1, generator=generator, dtype=torch.float64)
    noise = torch.randn(clean.shape, generator=generator, dtype=torch.float64)
    sigma = torch.full((len(clean),), 0.8, dtype=torch.float64)
    best = loss_of(ideal_network, clean, noise, sigma, None).mean()
    for change in (0.9, 1.1):
        worse = loss_of(lambda *given, c=change: c * ideal_network(*given), clean, noise, sigma, None).mean()
        assert worse > best


def test_schedule_is_the_published_one():
    levels = schedule(18)
    assert levels[0] == pytest.approx(80) and levels[-2] == pytest.approx(0.002) and levels[-1] == 0
    assert levels[1].item() == pytest.approx((80 ** (1 / 7) + (0.002 ** (1 / 7) - 80 ** (1 / 7)) / 17) ** 7)
    assert (levels[:-1] > levels[1:]).all()


def test_guidance_of_strength_one_is_the_main_network_and_more_goes_beyond():
    def main(x, sigma):
        return x * 0.5

    def guide(x, sigma):
        return x * 0.4

    x, sigma = torch.ones(2, 1), torch.ones(2)
    torch.testing.assert_close(guided(main, guide, 1.0)(x, sigma), main(x, sigma))
    torch.testing.assert_close(guided(main, guide, 2.0)(x, sigma), x * 0.6)


def test_noise_depends_on_the_own_seed_alone():
    together, alone = noise_of([3, 4], (2, 2)), noise_of([4], (2, 2))
    torch.testing.assert_close(together[1], alone[0])


def test_the_network_hears_noise_level_and_condition():
    torch.manual_seed(0)
    network = ConditionalUnet(Unet(width=8, multipliers=[1, 2], blocks=1), (4, 16, 16), 5)
    x, noise, condition = torch.randn(2, 4, 16, 16), torch.tensor([-0.5, 0.4]), torch.randn(2, 5)
    assert not network(x, noise, condition).any(), "it begins at zero"
    torch.nn.init.normal_(network.unet.conv_out.weight)
    base = network(x, noise, condition)
    assert base.shape == x.shape
    assert not torch.allclose(base, network(x, noise + 0.1, condition), atol=1e-4)
    assert not torch.allclose(base, network(x, noise, condition + 1), atol=1e-4)
    assert ConditionalUnet(Unet(width=8, multipliers=[1, 2], blocks=1), (4, 16, 16), 0)(x, noise, None).shape == x.shape
    with pytest.raises(LCMemError, match="cannot be halved"):
        ConditionalUnet(Unet(multipliers=[1, 1, 1]), (4, 6, 6), 0)


def test_every_preset_is_valid():
    assert {"smoke", "cpu", "paper"} == set(PRESETS)
    assert [load_preset(name).size for name in PRESETS] == [96, 512, 64]
    with pytest.raises(LCMemError, match="known: cpu, paper, smoke"):
        load_preset("gpu")

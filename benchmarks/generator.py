"""Steps a second and seconds for a sample of a generator of one of the presets, on random latents.

    OMP_NUM_THREADS=1 python benchmarks/generator.py [--preset cpu] [--seconds 60] [--json OUT]

CPU seconds are those of this process: unlike the clock's they do not count what other processes take.
"""

import argparse
import json
import time
from pathlib import Path

import torch

from lcmem.encoders import load_encoder
from lcmem.generation.diffusion.edm import denoise, loss_of, noise_of, sample
from lcmem.generation.diffusion.network import ConditionalUnet
from lcmem.generation.diffusion.settings import Experiment, load_preset
from lcmem.training.start import precision_for

CONDITION = 16


def train(settings: Experiment, shape: tuple[int, int, int], seconds: float) -> dict[str, object]:
    generator = settings.generator
    network = ConditionalUnet(generator.unet, shape, CONDITION)
    optimizer = torch.optim.Adam(network.parameters(), lr=generator.lr)
    precision = precision_for(generator.precision, "cpu")
    steps, clock, cpu = -1, 0.0, 0.0
    while steps < 1 or time.perf_counter() - clock < seconds:
        if steps < 0:  # the first step allocates
            clock, cpu = time.perf_counter(), time.process_time()
        clean, noise = torch.randn(2, generator.batch_size, *shape)
        sigma, condition = torch.rand(generator.batch_size) + 0.1, torch.randn(generator.batch_size, CONDITION)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16-mixed"):
            loss = loss_of(network, clean, noise, sigma, condition).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        steps += 1
        if steps == 0:
            clock, cpu = time.perf_counter(), time.process_time()
    wall, own = time.perf_counter() - clock, time.process_time() - cpu
    million = sum(part.numel() for part in network.parameters()) / 1e6
    return {
        "parameters_million": round(million, 2),
        "precision": precision,
        "steps": steps,
        "steps_per_second": round(steps / wall, 3),
        "steps_per_cpu_second": round(steps / own, 3),
        "cpu_hours_of_a_training": round(own / steps * generator.steps / 3600, 2),
    }


@torch.inference_mode()
def draw(settings: Experiment, shape: tuple[int, int, int], count: int = 8) -> dict[str, object]:
    network = ConditionalUnet(settings.generator.unet, shape, CONDITION)
    start, condition = 80 * noise_of([*range(count)], shape), torch.randn(count, CONDITION)
    cpu = time.process_time()
    sample(lambda noisy, sigma: denoise(network, noisy, sigma, condition), start, settings.sampler_steps)
    guided = 1 if settings.generator.guidance == 1 else 2
    return {"cpu_seconds_of_a_sample": round(guided * (time.process_time() - cpu) / count, 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="cpu")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    settings = load_preset(arguments.preset)
    card = load_encoder(settings.encoder).card
    shape = (card.channels, settings.size // card.downsample, settings.size // card.downsample)
    about = {"preset": arguments.preset, "latents": shape, "threads": torch.get_num_threads()}
    row = about | train(settings, shape, arguments.seconds) | draw(settings, shape)
    print(json.dumps(row))
    if arguments.json:
        arguments.json.write_text(json.dumps(row, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

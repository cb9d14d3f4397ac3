"""Training and inference time of backbone candidates on 4×32×32 latents, side by side in one run.

    python benchmarks/backbones.py [--json OUT]

ConvNeXt's usual 7×7 depthwise kernels are compared with 3×3 ones, and both with a ResNet of dense convolutions.
"""

import argparse
import json
import time

import timm
import torch
from torch import nn

from lcmem.model import NetworkSettings, SiameseNetwork
from lcmem.training.presets import load_recipe

BATCH = 64
COMPACT = load_recipe("compact-latent").network


def candidates() -> dict[str, nn.Module]:
    wide = COMPACT.options | {"kernel_sizes": 7}
    plain = {"block": timm.models.resnet.BasicBlock, "layers": (2, 2, 2, 2), "channels": (64, 128, 256, 320)}
    resnet = timm.models.resnet.ResNet(**plain, in_chans=16, num_classes=512)
    resnet.conv1, resnet.maxpool = nn.Conv2d(16, 64, 3, padding=1, bias=False), nn.Identity()
    return {
        "compact (3×3 ConvNeXt)": SiameseNetwork(COMPACT.settings(4)),
        "the same with 7×7 kernels": SiameseNetwork(NetworkSettings("convnext_atto", wide, unshuffle=2)),
        "ResNet of the same widths": nn.Sequential(nn.PixelUnshuffle(2), resnet),
    }


def milliseconds(call, repeats: int = 5) -> float:
    call()
    began = time.perf_counter()
    for _ in range(repeats):
        call()
    return 1000 * (time.perf_counter() - began) / repeats / BATCH


def measure(network: nn.Module) -> dict[str, float]:
    network = network.to(memory_format=torch.channels_last)
    latents = torch.randn(BATCH, 4, 32, 32)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            loss = network(latents).float().square().mean()
        loss.backward()

    training = milliseconds(step)
    network.eval()
    with torch.inference_mode():
        inference = milliseconds(lambda: network(latents))
    parameters = sum(parameter.numel() for parameter in network.parameters()) / 1e6
    return {"parameters_millions": parameters, "training_ms": training, "inference_ms": inference}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json")
    rows = [{"backbone": name} | measure(network) for name, network in candidates().items()]
    for row in rows:
        print(
            f"{row['backbone']:28} {row['parameters_millions']:5.1f} M   training {row['training_ms']:6.2f} ms   "
            f"inference {row['inference_ms']:5.2f} ms a picture ({row['inference_ms'] / rows[0]['inference_ms']:.1f}×)"
        )
    path = parser.parse_args().json
    if path:
        with open(path, "w", encoding="utf-8") as file:
            json.dump(rows, file, indent=2)


if __name__ == "__main__":
    main()

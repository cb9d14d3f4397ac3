"""How a network is laid out for training."""

import torch
from torch import Tensor, nn


class Float32Depthwise(nn.Conv2d):
    """A depthwise convolution that stays in float32 on CPUs, where autocast would make it bfloat16.

    There the gradient of a depthwise kernel takes two to three times as long in bfloat16 (``benchmarks/training.py``),
    and the layer norm that follows wants float32 anyway.
    """

    def forward(self, input: Tensor) -> Tensor:
        """As ``nn.Conv2d``."""
        if input.device.type != "cpu":
            return super().forward(input)
        with torch.autocast("cpu", enabled=False):
            return super().forward(input.float())


def lay_out(network: nn.Module) -> None:
    """Channels last, and depthwise convolutions in float32 on CPUs; in place, the weights keep their names."""
    for module in network.modules():
        if type(module) is nn.Conv2d and module.groups == module.in_channels > 1:
            module.__class__ = Float32Depthwise
    network.to(memory_format=torch.channels_last)

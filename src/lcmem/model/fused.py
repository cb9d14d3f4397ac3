"""A network for inference only: batch normalisation goes into the convolution before it."""

import copy
from itertools import pairwise

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from lcmem.model.siamese import SiameseNetwork


def fused(network: SiameseNetwork) -> SiameseNetwork:
    """The same function, up to rounding, with a third less work on a CPU.

    timm's normalisations carry their activation with them, which stays where it was. What has no batch normalisation
    comes back as a copy.
    """
    twin = copy.deepcopy(network).eval()
    for module in [*twin.backbone.modules()]:
        _fuse_children(module)
    return twin


def _fuse_children(parent: nn.Module) -> None:
    """Fuse each convolution with the normalisation that follows it in order of registration, which timm calls in."""
    children = list(parent.named_children())
    for (conv_name, conv), (norm_name, norm) in pairwise(children):
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d) and norm.num_features == conv.out_channels:
            setattr(parent, conv_name, _with(conv, norm))
            setattr(parent, norm_name, nn.Sequential(*norm.children()))  # drop and activation, if it has them


def _with(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    assert norm.running_mean is not None and norm.running_var is not None
    twin = copy.deepcopy(conv)
    twin.weight, twin.bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
    return twin

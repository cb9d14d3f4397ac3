"""Where to compute."""

import torch

from lcmem.errors import LCMemError


def usable_device(name: str | torch.device) -> torch.device:
    """The device of that name.

    Raises:
        LCMemError: Not a device, or one that this machine does not have.
    """
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise LCMemError(f"device {str(name)!r} cannot be used here: {str(error).splitlines()[0]}") from error
    return device


def usable_devices(names: str | torch.device) -> list[torch.device]:
    """The devices of a list such as ``cuda:0,cuda:1``.

    Raises:
        LCMemError: One of them cannot be used.
    """
    return [usable_device(name) for name in str(names).split(",")]

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
        reason = str(error).splitlines()[0] if _is_kind(str(name)) else "there is no such kind"
        raise LCMemError(
            f"device {str(name)!r} cannot be used here ({reason}); name cpu, cuda (one of several: cuda:1) or mps"
        ) from error
    return device


def full_precision(device: torch.device) -> torch.autocast:
    """Where features are computed as everywhere, though the caller trains in mixed precision around it."""
    try:
        return torch.autocast(device.type, enabled=False)
    except RuntimeError:  # a kind of device that this torch knows no mixed precision of
        return torch.autocast("cpu", enabled=False)


def _is_kind(name: str) -> bool:
    return name.partition(":")[0] in ("cpu", "cuda", "mps")


def usable_devices(names: str | torch.device) -> list[torch.device]:
    """The devices of a list such as ``cuda:0,cuda:1``.

    Raises:
        LCMemError: One of them cannot be used.
    """
    return [usable_device(name) for name in str(names).split(",")]


def batch_size(device: str | torch.device) -> int:
    """Pictures to encode at once: on a CPU few, so that progress does not move in leaps."""
    return 16 if torch.device(device).type == "cpu" else 64


def fast_bfloat16(device: str | torch.device) -> bool:
    """Whether a device computes in bfloat16 itself; others imitate it, at many times the cost of float32."""
    kind = torch.device(device).type
    if kind == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    asked = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # torch 2.2 has neither
    return kind == "cpu" and any(getattr(torch.cpu, name, bool)() for name in asked)

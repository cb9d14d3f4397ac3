"""Published weights: taken from the hubs' caches, downloaded only if that is asked for, read without running code."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from lcmem.checkpoints import WEIGHTS, fill_module
from lcmem.detectors.entry import Options
from lcmem.errors import CheckpointError, LCMemError, first_line
from lcmem.hub import hub_file


def published_state(name: str, source: str, options: Options) -> dict[str, Tensor]:
    """The tensors of published weights.

    Args:
        name: The detector's, for messages.
        source: A URL, or a repository of the Hugging Face hub that holds ``model.safetensors``.
        options: Which file to read instead, or whether to download.

    Raises:
        LCMemError: Not here and not to be downloaded, damaged, or with non-finite values.
    """
    if options.weights is not None:
        return read_state(Path(options.weights))
    try:
        found = _from_url(source, options) if "://" in source else _from_hub(source, options)
    except Exception as error:  # OSError or one of the hub's many classes
        raise unavailable(name, source, options, error) from error
    return read_state(found)


def unavailable(name: str, source: str, options: Options, error: Exception) -> LCMemError:
    """What to say when weights are not available, why if a download failed, and the way out."""
    if options.weights is not None:
        return CheckpointError(f"{options.weights}: not a folder with the weights {source}, which {name} needs")
    failed = f"could not be downloaded ({first_line(error)})"
    problem = failed if options.allow_download else "are not on this machine: add --download"
    return LCMemError(f"{name}: the weights {source} {problem}, or name a file or folder that has them: {name}=PATH")


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, a folder with one, or a file that ``torch.save`` wrote; no code of it is run.

    Raises:
        CheckpointError: Missing, damaged, not plain weights, or with non-finite values.
    """
    path = path / WEIGHTS if path.is_dir() else path
    try:
        read: Any = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
        state: dict[str, Tensor] = read.get("state_dict", read)
        broken = [key for key, value in state.items() if not value.isfinite().all()]
    except Exception as error:  # OSError, zip, unpickling and safetensors errors, or no dictionary of tensors
        raise CheckpointError(f"{path}: missing, damaged or not plain weights ({first_line(error)})") from error
    if broken:
        raise CheckpointError(f"{path}: damaged, {broken[0]} contains non-finite values")
    return state


def fill_part(module: nn.Module, state: dict[str, Tensor], prefix: str, origin: str) -> None:
    """Fill a module with the tensors that belong to it; training heads and the prefix of the rest are dropped.

    Raises:
        CheckpointError: Some tensor is not there or has another shape.
    """
    expected = module.state_dict()
    stripped = {key.removeprefix(prefix): value for key, value in state.items()}
    counters = {key: value for key, value in expected.items() if key.endswith("num_batches_tracked")}  # unused here
    fill_module(module, counters | {key: value for key, value in stripped.items() if key in expected}, origin)


def _from_url(url: str, options: Options) -> Path:
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    if not path.is_file():
        if not options.allow_download:
            raise FileNotFoundError(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path))
    return path


def _from_hub(repository: str, options: Options) -> Path:
    return hub_file(repository, WEIGHTS, options.allow_download)

"""A checkpoint on disk: a folder with ``model.safetensors`` and ``card.json`` (on a hub: ``config.json``)."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from lcmem.errors import CheckpointError, LCMemError
from lcmem.files import replacing, write_json

WEIGHTS, CARD = "model.safetensors", "card.json"
CONFIG = "config.json"
"""The card's name on a model hub, where folders of this layout are loaded just as well."""
BESIDE = ("README.md", "LICENSE")
"""What the folder of a hub's repository may hold before there is a model in it; hidden files, too."""
BUNDLED = Path(__file__).parent / "weights"


def resolve_folder(name_or_path: str | os.PathLike[str]) -> Path:
    """The folder of a bundled checkpoint (by name) or of the user's own (by path).

    Raises:
        CheckpointError: Neither exists.
    """
    bundled = sorted(folder.name for folder in BUNDLED.iterdir() if (folder / CARD).is_file())
    if os.fspath(name_or_path) in bundled:
        return BUNDLED / os.fspath(name_or_path)
    folder = Path(name_or_path)
    if not folder.is_dir():
        raise CheckpointError(
            f"{folder}: no such checkpoint folder (bundled ones: {', '.join(bundled) or 'none'}); the names that lcmem "
            "detectors lists are those that --model and lcmem.load_detector take"
        )
    return folder


def read_card(folder: Path, kind: str, needed: tuple[str, ...] = ()) -> dict[str, Any]:
    """The card of a checkpoint.

    Args:
        folder: Of the checkpoint.
        kind: What it must be of.
        needed: What else the card must say.

    Raises:
        CheckpointError: The card is missing, damaged, incomplete or of another kind of checkpoint.
    """
    path = folder / (CARD if (folder / CARD).is_file() or not (folder / CONFIG).is_file() else CONFIG)
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"{folder}: not a checkpoint, {CARD} is missing") from error
    except ValueError as error:
        raise CheckpointError(f"{path}: damaged ({error})") from error
    if not isinstance(card, dict) or card.get("kind") != kind:
        found = card.get("kind") if isinstance(card, dict) else None
        raise CheckpointError(f"{folder}: expected a checkpoint of kind {kind!r}, this one is {found!r}")
    if lacking := [name for name in needed if name not in card]:
        raise CheckpointError(f"{path}: damaged (it does not say {', '.join(lacking)})")
    return card


@contextmanager
def blaming_card(folder: Path) -> Iterator[None]:
    """Have what goes wrong while something is built as its card says told of the card.

    Raises:
        CheckpointError: Something did.
    """
    try:
        yield
    except (TypeError, ValueError, KeyError, AttributeError, RuntimeError, LCMemError) as error:  # timm, torch, ours
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{folder}: its card describes nothing that can be built ({error})") from error


def is_saved(folder: Path, kind: str) -> bool:
    """Whether a checkpoint of this kind was written there as a whole.

    Raises:
        CheckpointError: Its card is damaged, or of another kind.
    """
    if not (folder / CARD).is_file() or not (folder / WEIGHTS).is_file():
        return False
    return bool(read_card(folder, kind))


def load_weights(folder: Path, module: torch.nn.Module) -> None:
    """Fill a module from a checkpoint's weights, as float32.

    Raises:
        CheckpointError: The file is missing or truncated, or holds another model's tensors.
    """
    path = folder / WEIGHTS
    if not path.is_file():
        raise CheckpointError(f"{folder}: not a checkpoint, {WEIGHTS} is missing")
    try:
        state: dict[str, Tensor] = load_file(path)
    except Exception as error:  # safetensors has one error class of its own, and OSError
        raise CheckpointError(f"{path}: damaged or truncated ({error})") from error
    fill_module(module, state, str(path))


def fill_module(module: torch.nn.Module, state: Mapping[str, Tensor], origin: str) -> None:
    """Fill a module with tensors, as float32.

    Args:
        module: What to fill.
        state: Its tensors by name.
        origin: Where they are from, for the message.

    Raises:
        CheckpointError: They are another model's.
    """
    expected = module.state_dict()
    differing = [
        name
        for name in sorted(state.keys() | expected.keys())
        if name not in state or name not in expected or state[name].shape != expected[name].shape
    ]
    if differing:
        raise CheckpointError(
            f"{origin}: weights of another model, {len(differing)} tensors differ, for example {differing[0]}"
        )
    module.load_state_dict({name: tensor.float() for name, tensor in state.items()})


def save_checkpoint(
    folder: str | os.PathLike[str], module: torch.nn.Module, card: dict[str, Any], name: str = CARD
) -> Path:
    """Write weights (float16) and card: a new folder appears only when both are whole; the rest of an old one stays.

    Args:
        folder: A new or an empty one, or one that holds such a checkpoint already, which is replaced.
        module: What has the weights.
        card: Its ``kind`` says what the folder may hold already.
        name: Of the card's file, :data:`CARD` or :data:`CONFIG`.

    Raises:
        CheckpointError: It is a file, or holds other files.
    """
    target = Path(folder)
    _check_target(target, name, card["kind"])
    if target.exists():
        _write_files(target, module, card, name)
        return target
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    _write_files(partial, module, card, name)
    partial.replace(target)
    return target


def _write_files(folder: Path, module: torch.nn.Module, card: dict[str, Any], name: str) -> None:
    state = {name: tensor.detach().cpu().half().contiguous() for name, tensor in module.state_dict().items()}
    with replacing(folder / WEIGHTS) as partial:
        save_file(state, partial, metadata={"format": "pt"})
    write_json(card, folder / name)


def _check_target(folder: Path, name: str, kind: str) -> None:
    """Refuse a folder to save to that holds something else than such a checkpoint."""
    if folder.is_file():
        raise CheckpointError(f"{folder}: a file, but a checkpoint is a folder; name a new one")
    every = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    held = [found for found in every if not found.startswith(".") and found not in BESIDE]
    if held and not _holds_alone(folder, name, kind):
        shown = ", ".join(held[:3]) + (", …" if len(held) > 3 else "")
        raise CheckpointError(
            f"{folder}: holds other files ({shown}) and not a {kind} that was saved with {name}; choose a new or an "
            "empty folder"
        )


def _holds_alone(folder: Path, name: str, kind: str) -> bool:
    """Whether a folder holds a checkpoint of this kind, and its card has this name alone."""
    if [each for each in (CARD, CONFIG) if (folder / each).is_file()] != [name]:
        return False
    try:
        read_card(folder, kind)
    except CheckpointError:
        return False
    return True

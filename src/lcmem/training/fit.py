"""Lightning's trainer for one stage: checkpoints, early stopping, logs, devices."""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch import nn
from torch.utils.data import DataLoader

from lcmem.errors import LCMemError
from lcmem.latents import LatentStore
from lcmem.locks import follows
from lcmem.progress import check_stop
from lcmem.training.batches import Batch, PairBatches
from lcmem.training.callbacks import LatestCheckpoint, LearningCurves
from lcmem.training.module import StageTraining
from lcmem.training.sampler import PairSampler
from lcmem.training.start import precision_for

ACCELERATORS = {"cpu": "cpu", "cuda": "gpu", "mps": "mps"}
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunOptions:
    """Where and how a training runs.

    Attributes:
        device: ``cpu``, ``cuda``, one of several (``cuda:1``), or ``mps``.
        devices: How many of them; they share each batch.
        workers: Processes on each device that make batches; an autoencoder's and a generator's are made without.
        checkpoint_every: Steps between two states that an interrupted run goes on from.
        allow_download: Whether encoder, pretrained weights and teachers may be downloaded.
        teachers: Folder of what teachers said of pictures, which several runs may share; None: the run's own.
    """

    device: str = "cpu"
    devices: int = 1
    workers: int = 1
    checkpoint_every: int = 50
    allow_download: bool = False
    teachers: Path | None = None

    def __post_init__(self) -> None:
        """Raises :class:`LCMemError` for several of one device."""
        if self.devices > 1 and ":" in self.device:
            raise LCMemError(f"{self.device} is one device, not {self.devices}; name {self.kind}, or --devices 1")

    @property
    def kind(self) -> str:
        """The device without its number."""
        return self.device.partition(":")[0]

    @property
    def placed(self) -> dict[str, Any]:
        """``accelerator``, ``devices`` and ``strategy`` of a Lightning trainer."""
        number = self.device.partition(":")[2]
        return {
            "accelerator": ACCELERATORS[self.kind],
            "devices": [int(number)] if number and self.kind == "cuda" else self.devices,
            "strategy": "ddp" if self.devices > 1 else "auto",
        }


def fit_resumable(
    module: L.LightningModule,
    data: L.LightningDataModule,
    latest: Path,
    logs: Path,
    options: RunOptions,
    *,
    board: bool = False,
    callbacks: Sequence[L.Callback] = (),
    **settings: Any,
) -> L.Trainer:
    """Train by Lightning, from the last whole state on where there is one; each start has a log of its own.

    Args:
        module: What is trained.
        data: What it is trained on.
        latest: The file of that state.
        logs: Folder of the logs, for :func:`lcmem.training.callbacks.read_metrics`.
        options: Where, and how often the state is written.
        board: Whether TensorBoard gets logs, too.
        callbacks: Beside the one that writes it.
        **settings: Of :class:`lightning.Trainer`.

    Raises:
        LCMemError: The state is damaged.
    """
    version, kinds = len([*logs.glob("version_*")]), [CSVLogger, *([TensorBoardLogger] if board else [])]
    trainer = L.Trainer(
        **options.placed,
        logger=[kind(logs.parent, logs.name, version=version) for kind in kinds],
        gradient_clip_val=1.0,
        callbacks=[*callbacks, LatestCheckpoint(latest, options.checkpoint_every)],
        enable_model_summary=False,
        **settings,
    )
    if latest.is_file():
        check_state(latest, "delete it, and what it is a state of begins again")
    with _stoppable():
        trainer.fit(module, datamodule=data, ckpt_path=latest if latest.is_file() else None, weights_only=True)
    return trainer


def check_state(latest: Path, way_out: str) -> None:
    """Refuse a state that was damaged since it was written, on whatever device.

    Raises:
        LCMemError: It cannot be read as a whole.
    """
    try:
        torch.load(str(latest), map_location="cpu", weights_only=True, mmap=True)
    except FileNotFoundError as error:
        raise LCMemError(f"{latest}: gone; {way_out}") from error
    except Exception as error:  # whatever zip files and pickles can have
        raise LCMemError(f"{latest}: damaged; {way_out}") from error


class BestEpoch(ModelCheckpoint):
    """The best epoch's state, also in a run's folder that was moved: Lightning would forget how good it was."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the state of the callback, its files where the folder is now."""
        assert self.dirpath is not None

        def here(path: str) -> str:
            return os.path.join(self.dirpath, os.path.basename(path)) if path else path  # type: ignore[arg-type]

        moved = {name: here(state_dict[name]) for name in ("best_model_path", "kth_best_model_path", "last_model_path")}
        known = {here(path): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict(state_dict | moved | {"best_k_models": known, "dirpath": self.dirpath})


@contextmanager
def _stoppable() -> Iterator[None]:
    """Hand Ctrl-C and SIGTERM on to the caller: Lightning ends the whole program on them."""
    try:
        yield
    except SystemExit as stop:
        cause = stop.__context__
        raise (cause if isinstance(cause, KeyboardInterrupt) else stop) from None
    except RuntimeError:  # a process that made batches got the signal as well
        check_stop()
        raise


class PairData(L.LightningDataModule):
    """Each epoch's batches by their numbers; a resumed epoch begins in its middle."""

    def __init__(self, store: LatentStore, sampler: PairSampler, module: StageTraining, workers: int) -> None:
        super().__init__()
        self.store, self.sampler, self.module, self.workers = store, sampler, module, workers

    def train_dataloader(self) -> DataLoader[Batch]:
        """What is left of the current epoch."""
        trainer, steps = self.module.trainer, self.module.steps_per_epoch
        done = trainer.global_step
        rest = range(done, (done // steps + 1) * steps)
        batches = PairBatches(self.store, self.sampler, rest, trainer.global_rank, trainer.world_size)
        return DataLoader(
            batches, batch_size=None, num_workers=self.workers, prefetch_factor=2 if self.workers else None
        )

    def val_dataloader(self) -> DataLoader[torch.Tensor]:
        """One item: the lists are scored as a whole."""
        return DataLoader(torch.zeros(1, 1))  # type: ignore[arg-type]


def fit(
    module: StageTraining, store: LatentStore, sampler: PairSampler, number: int, folder: Path, options: RunOptions
) -> dict[str, Any]:
    """Train a stage, and leave the best epoch's weights in the module.

    Args:
        module: Network and settings.
        store: Latents of the training pictures.
        sampler: Draws the pairs.
        number: Of the stage.
        folder: The run's.
        options: Where and how.

    Returns:
        Precision, epochs, best epoch (from 0) and its validation score.

    Raises:
        LCMemError: Several devices that are not CUDA, and a network with batch norm.
    """
    _check_shared(module, options)
    precision = precision_for(module.recipe.precision, options.device)
    if not follows():
        LOG.info("stage %d: precision %s on %s", number, precision, options.device)
    resume = folder / "resume" / f"stage{number}"
    best = BestEpoch(resume, "best", monitor="val_score", mode="max", enable_version_counter=False)
    trainer = fit_resumable(
        module,
        PairData(store, sampler, module, options.workers),
        resume / "latest.ckpt",
        folder / "logs" / f"stage{number}",
        options,
        precision=precision,
        board=True,
        callbacks=[
            EarlyStopping("val_score", mode="max", patience=module.stage.patience),
            best,
            LearningCurves(folder),
        ],
        sync_batchnorm=options.devices > 1 and not module.recipe.network.frozen_norm,
        use_distributed_sampler=False,
        max_epochs=module.stage.epochs,
        limit_train_batches=module.steps_per_epoch,
        log_every_n_steps=min(10, module.steps_per_epoch),
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
    )
    check_state(resume / "best.ckpt", f"delete {resume}, and the stage begins again")
    state = torch.load(resume / "best.ckpt", map_location="cpu", weights_only=True)
    module.load_state_dict(state["state_dict"])
    score = None if best.best_model_score is None else float(best.best_model_score)
    return {
        "precision": precision,
        "epochs": trainer.current_epoch,
        "best_epoch": int(state["epoch"]),
        "val_score": score,
    }


def _check_shared(module: StageTraining, options: RunOptions) -> None:
    """Batch norm must see the whole batch, and torch shares its statistics between CUDA devices only."""
    normed = not module.recipe.network.frozen_norm and any(
        isinstance(part, nn.modules.batchnorm._BatchNorm) for part in module.network.modules()
    )
    if options.devices > 1 and options.kind != "cuda" and normed:
        raise LCMemError(
            f"{module.recipe.network.backbone} has batch norm, which several devices can share on CUDA only: take "
            "--devices 1, network.frozen_norm=true with pretrained weights, or a network without"
        )

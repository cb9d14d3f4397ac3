"""The state that an interrupted stage goes on from."""

import os
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Checkpoint


class LatestCheckpoint(Checkpoint):
    """Writes everything that the rest of a stage depends on, every few steps and after each epoch.

    With batches and random numbers that depend on the step's number alone, going on from it gives what an
    uninterrupted run gives.

    Args:
        path: The file; it is replaced only by a whole one.
        every: Steps between two states.
    """

    def __init__(self, path: Path, every: int) -> None:
        self.path, self.every = path, every

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """In the middle of an epoch; at its end the validation is still to come, and that state is written after it."""
        if trainer.global_step % self.every == 0 and batch_idx + 1 < trainer.num_training_batches:
            self._write(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """After the callbacks that follow the validation score (Lightning calls checkpoints last)."""
        self._write(trainer)

    def _write(self, trainer: L.Trainer) -> None:
        partial = self.path.with_name(self.path.name + ".partial")
        trainer.save_checkpoint(partial)
        if trainer.is_global_zero:
            os.replace(partial, self.path)

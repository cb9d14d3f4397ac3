"""What happens beside the steps of a stage: the state that an interrupted one goes on from, and learning curves."""

import os
import time
from pathlib import Path
from typing import Any

import lightning as L
import pandas as pd
from lightning.pytorch.callbacks import Checkpoint

from lcmem.files import write_plot

CURVES = "curves.png"
REDRAWN = 10.0
"""Seconds between two pictures of the curves."""
PARTS = ("loss", "bce", "nt_xent")


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


class LearningCurves(L.Callback):
    """Redraws the picture at new epochs, so that a long run can be watched; not more often than is looked at."""

    def __init__(self, run: Path) -> None:
        self.run, self.drawn = run, time.monotonic()

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The logs of the last epoch are written by now."""
        if trainer.is_global_zero and time.monotonic() - self.drawn > REDRAWN:
            plot_curves(self.run)
            self.drawn = time.monotonic()


def read_metrics(folder: Path) -> pd.DataFrame:
    """The CSV logs of a stage, of all its starts, as one table by step.

    Where a run was killed and went on from an earlier step, the later start counts.

    Args:
        folder: With ``version_0``, ``version_1``, … for each start.
    """
    logs = sorted(folder.glob("version_*/metrics.csv"), key=lambda path: int(path.parent.name.partition("_")[2]))
    table = pd.DataFrame({"step": pd.Series(dtype=int)})
    for log in logs:
        part = pd.read_csv(log)
        parts = [table[table["step"] < part["step"].min()], part]
        table = pd.concat([part for part in parts if len(part)], ignore_index=True)
    return table


def plot_curves(run: Path) -> None:
    """Losses and validation AUC of each stage, side by side, as ``curves.png`` in the run's folder.

    Args:
        run: The folder, with ``logs/stage1`` and, if there is one, ``logs/stage2``.
    """
    from matplotlib.figure import Figure

    logs = {f"stage {number}": run / "logs" / f"stage{number}" for number in (1, 2)}
    tables = {title: table for title, folder in logs.items() if len(table := read_metrics(folder))}
    if not tables:
        return
    figure = Figure(figsize=(6 * len(tables), 7), layout="constrained")
    axes = figure.subplots(2, len(tables), squeeze=False)
    for column, (title, table) in enumerate(tables.items()):
        for name in [*PARTS, *(name for name in table if str(name).endswith(("_bce", "_cosine", "_similarity")))]:
            _draw(axes[0, column], table, name, marker="o" if str(name).startswith("val_") else None)
        for name in sorted(name for name in table if str(name).startswith("val_") and not str(name).endswith("_bce")):
            _draw(axes[1, column], table, name, marker="o", linewidth=2.5 if name == "val_score" else 1)
        axes[0, column].set(title=title, xlabel="step", ylabel="loss", yscale="log")
        axes[1, column].set(xlabel="step", ylabel="validation AUC")
        for row in (0, 1):
            axes[row, column].grid(alpha=0.3)
            axes[row, column].legend(fontsize="small")
    write_plot(figure, run / CURVES)


def _draw(axes, table, name, **style):  # type: ignore[no-untyped-def]
    if name in table:
        known = table[["step", name]].dropna()
        axes.plot(known["step"], known[name], label=name, **style)

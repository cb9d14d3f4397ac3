"""Training a generator by Lightning; batches and noise go by number, so an interrupted run ends with equal weights."""

import copy
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.data import DataLoader

from lcmem.errors import LCMemError
from lcmem.files import replacing, write_plot
from lcmem.generation.diffusion.batches import Batch, Batches
from lcmem.generation.diffusion.edm import SIGMA_MAX as FULL_NOISE
from lcmem.generation.diffusion.edm import STEPS, Denoiser, denoise, guided, loss_of, noise_of, sample
from lcmem.generation.diffusion.network import ConditionalUnet
from lcmem.generation.diffusion.settings import Generator
from lcmem.latents import LatentStore
from lcmem.training.callbacks import read_metrics
from lcmem.training.fit import RunOptions, fit_resumable
from lcmem.training.module import check_loss
from lcmem.training.start import precision_for

LATEST, FINISHED = "latest.ckpt", "generator.safetensors"


class DiffusionTraining(L.LightningModule):
    """Network, its average and the guide.

    Args:
        settings: Of the training.
        shape: Of the latents.
        condition: Length of the conditions.
    """

    def __init__(self, settings: Generator, shape: tuple[int, int, int], condition: int) -> None:
        super().__init__()
        torch.manual_seed(settings.seed)
        self.settings, self.network = settings, ConditionalUnet(settings.unet, shape, condition)
        self.average, self.guide = (copy.deepcopy(self.network).requires_grad_(False) for _ in range(2))

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """The loss; it must be a number."""
        loss = loss_of(self.network, *batch).mean()
        check_loss(loss, self.global_step)
        self.log("loss", loss, prog_bar=True)
        return loss

    def optimizer_step(self, *arguments: Any, **options: Any) -> None:
        """A step, and then the average: a state that is saved after it holds both."""
        super().optimizer_step(*arguments, **options)
        step = self.global_step + 1
        keep = (1 - 1 / step) ** (self.settings.gamma + 1)
        with torch.no_grad():
            for mean, now in zip(self.average.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(now, 1 - keep)
            if step == max(1, round(self.settings.guide_at * self.settings.steps)):
                self.guide.load_state_dict(self.average.state_dict())

    def configure_optimizers(self) -> dict[str, Any]:  # type: ignore[override]
        """Adam with a linear warm-up."""
        optimizer = torch.optim.Adam(self.network.parameters(), lr=self.settings.lr)
        rise = max(1, round(self.settings.warm_up * self.settings.steps))
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / rise))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def denoiser(self, condition: Tensor | None) -> Denoiser:
        """The average of the weights, guided by the early one."""

        def by(network: ConditionalUnet) -> Denoiser:
            return lambda noisy, sigma: denoise(network, noisy, sigma, condition)

        if self.settings.guidance == 1:
            return by(self.average)
        return guided(by(self.average), by(self.guide), self.settings.guidance)


class _Data(L.LightningDataModule):
    def __init__(self, store: LatentStore, condition: np.ndarray, module: DiffusionTraining) -> None:
        super().__init__()
        self.store, self.condition, self.module = store, condition, module

    def train_dataloader(self) -> DataLoader[Batch]:
        """What is left of the training: all of it is one epoch, as Lightning resumes exactly only within one."""
        trainer, settings = self.module.trainer, self.module.settings
        rest = range(trainer.global_step, settings.steps)
        batches = Batches(self.store, self.condition, settings, rest, trainer.global_rank, trainer.world_size)
        return DataLoader(batches, batch_size=None)


class _Looks(L.Callback):
    """Called every few steps: draws the loss curve and whatever the caller wants."""

    def __init__(self, folder: Path, every: int, draw: Any) -> None:
        self.folder, self.every, self.draw = folder, every, draw

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Lightning calls checkpoints last: a look that fails is taken again."""
        if trainer.is_global_zero and trainer.global_step % self.every == 0:
            plot_loss(self.folder)
            if self.draw is not None:
                self.draw(pl_module, self.folder / "samples.png")


def train_generator(
    store: LatentStore,
    condition: np.ndarray,
    settings: Generator,
    folder: Path,
    *,
    where: RunOptions | None = None,
    draw: Any = None,
) -> DiffusionTraining:
    """Train a generator, or load it where it is trained. Given again after a kill, it goes on.

    Args:
        store: Latents of the training pictures.
        condition: ``[N, K]`` float32, K = 0 for none.
        settings: Of the training.
        folder: For the state, the log, ``loss.png`` and the finished generator.
        where: Devices.
        draw: Called with the module and a path every ``look_every`` steps, to draw samples.

    Raises:
        LCMemError: The loss is not finite, or a damaged state.
    """
    where, folder = where or RunOptions(), Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    module = DiffusionTraining(settings, store.shape, condition.shape[1])
    if not (folder / FINISHED).is_file():
        _fit(module, store, condition, folder, where, draw)
        with replacing(folder / FINISHED) as partial:
            save_file({name: value.cpu().contiguous() for name, value in module.state_dict().items()}, partial)
        (folder / LATEST).unlink(missing_ok=True)
        plot_loss(folder)
    try:
        module.load_state_dict(load_file(folder / FINISHED))
    except (SafetensorError, OSError, RuntimeError) as error:
        raise LCMemError(
            f"{folder / FINISHED}: damaged, or of another network ({error}); delete this folder"
        ) from error
    return module.eval().to(where.device)


def _fit(
    module: DiffusionTraining, store: LatentStore, condition: np.ndarray, folder: Path, where: RunOptions, draw: Any
) -> None:
    settings = module.settings
    fit_resumable(
        module,
        _Data(store, condition, module),
        folder / LATEST,
        folder / "logs",
        where,
        precision=precision_for(settings.precision, where.device),
        callbacks=[_Looks(folder, settings.look_every, draw)],
        use_distributed_sampler=False,
        max_epochs=1,
        max_steps=settings.steps,
        limit_train_batches=settings.steps,
        log_every_n_steps=min(10, settings.steps),
    )


@torch.inference_mode()
def draw_latents(
    module: DiffusionTraining,
    condition: np.ndarray,
    seeds: np.ndarray,
    shape: tuple[int, int, int],
    *,
    steps: int = STEPS,
    start: Tensor | None = None,
    sigma_max: float = FULL_NOISE,
) -> Tensor:
    """Normalised latents ``[n, C, h, w]``, each from its own seed.

    Args:
        module: The generator.
        condition: ``[n, K]``.
        seeds: ``[n]``.
        shape: Of a latent.
        steps: Heun steps.
        start: Clean latents that the noise is added to; None for samples from noise alone.
        sigma_max: Noise level to begin at.
    """
    noise = sigma_max * noise_of([int(seed) for seed in seeds], shape)
    noisy = noise if start is None else start + noise
    known = torch.from_numpy(np.ascontiguousarray(condition)).to(module.device)
    denoiser = module.denoiser(known if known.shape[1] else None)
    return sample(denoiser, noisy.to(module.device), steps, sigma_max).cpu()


def plot_loss(folder: Path) -> None:
    """``loss.png`` from the logs of all starts."""
    from matplotlib.figure import Figure

    table = read_metrics(folder / "logs")
    if "loss" not in table:
        return
    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    axes.plot(table["step"], table["loss"], lw=1)
    axes.set(xlabel="step", ylabel="loss", yscale="log")
    axes.grid(alpha=0.3)
    write_plot(figure, folder / "loss.png")

"""Lightning's view of a stage: one step, one validation, one optimiser."""

from typing import Any, cast

import lightning as L
import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from lcmem.encoders import LatentEncoder
from lcmem.errors import LCMemError
from lcmem.latents import LatentStore, encode_pictures
from lcmem.model import SiameseNetwork, combined_loss, normalise_samples
from lcmem.model.siamese import TARGET_STD
from lcmem.training.batches import Batch
from lcmem.training.recipe import Recipe
from lcmem.training.stage import Stage
from lcmem.training.teachers import Lesson
from lcmem.training.validation import ValidationList

TINY = 1e-6
"""Smallest standard deviation: a channel that never changes stays zero."""

WARM_UP = 0.03
"""Share of the steps over which the learning rate rises."""


def check_loss(loss: Tensor, step: int) -> None:
    """Raises :class:`LCMemError` where the loss of a step is no finite number: nothing that follows would be one."""
    if not bool(loss.isfinite()):
        raise LCMemError(
            f"the loss is {loss.item()} at step {step}: try a lower lr, or precision=32-true; the last whole state is "
            "kept"
        )


class StageTraining(L.LightningModule):
    """Either stage.

    Args:
        network: The Siamese network.
        recipe: The settings of the run.
        stage: The settings of this stage.
        encoder: Encodes pictures where the stage edits them.
        store: Latents of the training pictures.
        validation: The lists that an epoch is judged by, by their kind.
        lessons: What teachers add to the loss, see :func:`lcmem.training.teachers.lessons_of`.
    """

    def __init__(
        self,
        network: SiameseNetwork,
        recipe: Recipe,
        stage: Stage,
        encoder: LatentEncoder,
        store: LatentStore,
        validation: dict[str, ValidationList],
        lessons: nn.ModuleDict | None = None,
    ) -> None:
        super().__init__()
        self.network, self.recipe, self.stage = network, recipe, stage
        self.lessons = nn.ModuleDict() if lessons is None else lessons
        self.averaged = averaged_model(network, stage.average) if stage.average else None
        self.frozen = [encoder]  # in a list: not a sub-module, so not in the checkpoint
        self.validation = validation
        self.steps_per_epoch = stage.steps_per_epoch or max(1, round(len(store) / stage.batch_size))
        if network.gain is not None:
            network.gain.requires_grad_(False)
        if recipe.network.frozen_norm:  # Lightning leaves it so, also after a validation
            for part in network.modules():
                if isinstance(part, nn.modules.batchnorm._BatchNorm):
                    part.eval()
        self.statistics: tuple[Tensor, Tensor] | None = None
        if recipe.normalise == "dataset":
            scales = [store.scales[name] for name in sorted(store.manifest.table["dataset"].unique())]
            mean, std = (np.stack([getattr(scale, part) for scale in scales]) for part in ("mean", "std"))
            self.statistics = (torch.from_numpy(mean).float(), torch.from_numpy(std).float().clamp_min(TINY))

    @property
    def result(self) -> SiameseNetwork:
        """What is judged and becomes the detector: the network, or the average of its weights over steps."""
        return self.network if self.averaged is None else cast(SiameseNetwork, self.averaged.module)

    def optimizer_step(self, *args: Any, **options: Any) -> None:
        """A step, and then the average: before the state is written, which thereby holds both."""
        super().optimizer_step(*args, **options)
        if self.averaged is not None:
            self.averaged.update_parameters(self.network)

    def normalise(self, latents: Tensor, dataset: Tensor) -> Tensor:
        """Latents ``[B, C, h, w]`` to mean 0, standard deviation 0.5, over the training mix or by dataset."""
        if self.statistics is None:
            return self.network.normalise(latents)
        mean, std = (part.to(latents)[dataset.to(latents.device)][..., None, None] for part in self.statistics)
        return (latents - mean) * (TARGET_STD / std)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """All random numbers of a step depend on its number alone: an interrupted run goes on as if it had not been."""
        seeds = np.random.SeedSequence((self.recipe.seed, self.global_step, self.global_rank))
        torch.manual_seed(int(seeds.generate_state(1, np.uint64)[0] >> 1))

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """The combined loss (paper, equation 3) over the batches of all devices."""
        latents = torch.cat((self._encoded(batch.first), self._encoded(batch.second)))
        latents = self.normalise(latents, batch.dataset.repeat(2))
        if np.random.default_rng((self.recipe.seed, self.global_step, 2)).random() < self.stage.samplewise:
            latents = normalise_samples(latents)
        latents = self._changed(latents, batch.single)
        u, v = self.network.embed(latents).float().chunk(2)
        # one gather for both: two of them may come back in another order on another device
        u, v = self._joined(torch.stack((u, v), 1)).unbind(1)
        labels = self._joined(torch.column_stack((batch.identity, batch.domain, batch.picture)))
        with torch.autocast(self.device.type, enabled=False):
            loss, parts = self._loss(u, v, labels)
            taught = self._taught(u, v, labels)
            loss = loss + sum(taught.values())
            parts |= taught
        check_loss(loss, self.global_step)
        self.log_dict({"loss": loss, **parts}, prog_bar=True)
        return loss

    def _encoded(self, part: Tensor) -> Tensor:
        """Latents, whether the batch has them or pictures."""
        return encode_pictures(part, self.frozen[0], self.device) if part.dtype == torch.uint8 else part

    def _changed(self, latents: Tensor, single: Tensor) -> Tensor:
        """First and then second latents ``[2B, C, h, w]`` with what the stage does to them."""
        latents = self.stage.latent(latents)
        if not self.stage.edits_pictures and self.stage.singles.changes and bool(single.any()):
            first, second = latents.chunk(2)
            second = torch.where(single[:, None, None, None], self.stage.singles(second), second)
            latents = torch.cat((first, second))
        return latents

    def _loss(self, u: Tensor, v: Tensor, labels: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of pairs; ``labels`` ``[B, 4]`` are their identity, domain and both pictures."""
        weight, (identity, domain, picture, _) = self.stage.bce_weight, labels.unbind(1)
        less = [torch.where(lesson.known(picture), lesson.teacher.nt_xent, 1.0) for lesson in self._lessons.values()]
        # with NT-Xent alone the head learns to read features that it does not shape: their score is a probability, too
        seen = (u, v) if weight else (u.detach(), v.detach())
        loss, bce, contrast = combined_loss(
            u,
            v,
            self.network.head.all_pairs(*seen),
            identity,
            bce_weight=weight,
            temperature=self.stage.temperature,
            domain=domain if self.stage.negatives == "domain" else None,
            weight=torch.stack(less).prod(0) if less else None,
            contrasted=self.recipe.network.part(0).stop,
        )
        return loss if weight else loss + bce, {"bce": bce, "nt_xent": contrast}

    def _taught(self, u: Tensor, v: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """What each teacher adds to the loss, as ``teacher_term``."""
        centred, pictures = 2 * torch.cat((u, v)) - 1, torch.cat((labels[:, 2], labels[:, 3]))
        terms: dict[str, Tensor] = {}
        for name, lesson in self._lessons.items():
            terms |= {f"{name}_{term}": value for term, value in lesson(centred, pictures).items()}
        return terms

    @property
    def _lessons(self) -> dict[str, Lesson]:
        return cast(dict[str, Lesson], dict(self.lessons.items()))

    def _joined(self, part: Tensor) -> Tensor:
        """The same of all devices.

        Each device then computes the whole loss; its gradients come back summed over devices and DDP averages them
        over as many: those of one device with the joined batch.
        """
        if self.trainer.world_size == 1:
            return part
        return cast(Tensor, self.all_gather(part, sync_grads=True)).flatten(0, 1)

    def on_validation_epoch_end(self) -> None:
        """AUC of the fixed pair lists, macro-averaged over datasets; ``val_score`` is what the stage improves.

        However the stage normalises, these are features as the detector will make them.
        """
        means = []
        for kind, pairs in self.validation.items():
            bce, values = pairs.scores(lambda latents: self.result(latents.to(self.device)), self.result.head)
            self.log(f"val_{kind}_bce", bce)
            self.log_dict({f"val_{kind}/{name or 'unnamed'}": value for name, value in values.items()})
            means.append(float(np.mean(list(values.values()))))
            self.log(f"val_{kind}", means[-1], prog_bar=True)
        self.log("val_score", float(np.mean(means)))

    def validation_step(self, batch: Tensor, index: int) -> None:
        """Lightning wants one; the lists are scored as a whole in :meth:`on_validation_epoch_end`."""

    def configure_optimizers(self) -> dict[str, Any]:  # type: ignore[override]
        """AdamW, by the stage's schedule; weights decay, biases and norms do not."""
        stage, head = self.stage, {id(part) for part in self._new_parameters()}
        groups: dict[tuple[bool, bool], list[Tensor]] = {}
        for parameter in [*self.network.parameters(), *self.lessons.parameters()]:
            groups.setdefault((parameter.ndim > 1, id(parameter) in head), []).append(parameter)
        rates = [stage.lr * (stage.head_lr if new else 1) for _, new in groups]
        decays = [stage.weight_decay if many else 0.0 for many, _ in groups]
        optimizer = torch.optim.AdamW(
            [
                {"params": group, "weight_decay": decay, "lr": rate}
                for group, decay, rate in zip(groups.values(), decays, rates, strict=True)
            ]
        )
        if self.stage.schedule == "constant":
            return {"optimizer": optimizer}
        steps = self.stage.epochs * self.steps_per_epoch
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, rates, total_steps=steps, pct_start=WARM_UP, div_factor=25, cycle_momentum=False
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _new_parameters(self) -> list[nn.Parameter]:
        """Parameters of the layers without pretrained weights."""
        return [
            part
            for module in (self.network.last_layer, self.network.head, self.lessons)
            for part in module.parameters()
        ]


def averaged_model(network: SiameseNetwork, decay: float) -> AveragedModel:
    """Weights averaged over steps; the first steps soon count for nothing."""

    def average(mean: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
        return mean.lerp(current, 1 - min(decay, (int(count) + 1) / (int(count) + 20)))

    return AveragedModel(network, avg_fn=average).requires_grad_(False)

"""Any diffusers pipeline as a sampler for :func:`lcmem.generation.regenerate.generate_private`."""

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lcmem.errors import LCMemError

PER_PROMPT, BATCH = "num_images_per_prompt", "batch_size"


class PipelineSampler:
    """Calls a pipeline with a generator of its own for each sample, so that a sample depends on its seed alone.

    Pipelines that take a batch size, or a number of images for each prompt, are known; for others write a function
    ``sampler(numbers, seeds)``.

    Args:
        pipeline: A ``DiffusionPipeline``.
        latents: Whether to give the latents that its autoencoder would decode, for :meth:`PrivacyFilter.on_latents`.
        of_each: Arguments of which each sample has its own, by name: lists with one for each sample, such as
            ``{"prompt": [...]}``.
        **options: Arguments of the pipeline for all samples.

    Raises:
        LCMemError: Neither argument is known to the pipeline, or latents are asked for without an autoencoder.
    """

    def __init__(
        self, pipeline: Any, *, latents: bool = False, of_each: dict[str, Sequence[Any]] | None = None, **options: Any
    ) -> None:
        known = inspect.signature(type(pipeline).__call__).parameters
        self.pipeline, self.latents, self.of_each, self.options = pipeline, latents, of_each or {}, options
        self.size = next((name for name in (PER_PROMPT, BATCH) if name in known), None)
        if self.size is None and not self.of_each:
            raise LCMemError(
                f"{type(pipeline).__name__} takes neither {PER_PROMPT} nor {BATCH}; give what each sample is made from "
                "(of_each), or write a function sampler(numbers, seeds)"
            )
        counts = {name: len(values) for name, values in self.of_each.items()}
        if len(set(counts.values())) > 1:
            raise LCMemError(f"of_each: {counts} values; give as many of each")
        if latents and getattr(pipeline, "vae", None) is None:
            raise LCMemError(
                f"{type(pipeline).__name__} has no autoencoder (vae), so there are no latents; give pictures"
            )
        self.device = getattr(pipeline, "_execution_device", getattr(pipeline, "device", "cpu"))

    def __call__(self, numbers: np.ndarray, seeds: np.ndarray) -> Any:
        """Draw samples; pictures as PIL images, latents ``[n, C, h, w]``."""
        generators = [torch.Generator(self.device).manual_seed(int(seed)) for seed in seeds]
        for name, values in self.of_each.items():
            if len(values) <= max(numbers):
                raise LCMemError(
                    f"of_each: {name} has {len(values)} values, but sample {max(numbers)} is asked for, and the first "
                    "is sample 0; give one for each"
                )
        own: dict[str, Any] = {name: [values[number] for number in numbers] for name, values in self.of_each.items()}
        if not own and self.size is not None:
            own = {self.size: len(numbers)}
        kind = "latent" if self.latents else "pil"
        found = self.pipeline(**self.options, **own, generator=generators, output_type=kind).images
        return self._unscaled(found) if self.latents else found

    def _unscaled(self, latents: Tensor) -> Tensor:
        """As the autoencoder's ``encode`` gives them: pipelines work with latents that are shifted and scaled."""
        config = self.pipeline.vae.config
        shift = getattr(config, "shift_factor", None) or 0.0
        return latents / config.scaling_factor + shift

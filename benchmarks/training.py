"""A training step of stage 1, ours against the arithmetic of the paper's description, side by side in one run.

    python benchmarks/training.py [--json OUT] [--pairs 128] [--large 512]

Both get the same latents and the same backbone (ConvNeXt-Tiny on 4×64×64 latents, and the bundled one on 4×32×32).

- *plain* is the step as the paper describes it and the common libraries do it: float32, one pass of the backbone for
  each picture of a pair, half of the pairs positive and half negative, BCE on these pairs, NT-Xent in the form that
  compares each positive pair with every negative one (pytorch-metric-learning's).
- *lcmem* is ours: one pass for both pictures, bfloat16 autocast (float32 for depthwise kernels), channels last, all
  pairs in the batch through ``torch.cdist``, NT-Xent as one masked softmax.

Besides: NT-Xent alone at a large batch in both forms (time, and the largest tensor that either makes), and how many
pictures a second stage 2 augments and encodes in one process, beside the pictures a second of its step.
"""

import argparse
import json
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from lcmem.augment import Augmentation
from lcmem.encoders import load_encoder
from lcmem.jobs.demo import faces_folder
from lcmem.latents import encode_pictures
from lcmem.model import SiameseNetwork, combined_loss, nt_xent
from lcmem.pictures.image import load_picture
from lcmem.pictures.manifest import Manifest
from lcmem.training.presets import load_recipe
from lcmem.training.start import lay_out

TEMPERATURE, BCE_WEIGHT = 0.07, 0.8


def seconds(call: Callable[[], None], repeats: int = 3) -> float:
    call()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return min(times)


def plain_nt_xent(u: torch.Tensor, v: torch.Tensor, identity: torch.Tensor) -> torch.Tensor:
    """Each positive pair against every negative pair of the same anchor, chosen by a mask over all pairs of pairs."""
    views, labels = F.normalize(torch.cat((u, v)), dim=1), identity.repeat(2)
    similarity = views @ views.T / TEMPERATURE
    same = labels[:, None] == labels[None]
    anchor, other = torch.where(same & ~torch.eye(len(views), dtype=torch.bool))
    negative_anchor, negative_other = torch.where(~same)
    positive = similarity[anchor, other][:, None]
    mine = anchor[:, None] == negative_anchor[None]
    negatives = similarity[negative_anchor, negative_other][None].expand(len(anchor), -1)
    negatives = negatives.masked_fill(~mine, float("-inf"))
    return -(positive[:, 0] - torch.cat((positive, negatives), 1).logsumexp(1)).mean()


def plain_step(network: SiameseNetwork, first: torch.Tensor, second: torch.Tensor, identity: torch.Tensor) -> None:
    u, v = network.embed(first), network.embed(second)
    half = len(u) // 2
    paired = torch.cat((v[:half], v[half:].roll(1, 0)))  # the second half of the pairs is made negative
    target = (torch.arange(len(u)) < half).float()
    bce = F.binary_cross_entropy_with_logits(network.head(u, paired), target)
    (BCE_WEIGHT * bce + (1 - BCE_WEIGHT) * plain_nt_xent(u, v, identity)).backward()


def our_step(network: SiameseNetwork, first: torch.Tensor, second: torch.Tensor, identity: torch.Tensor) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        u, v = network.embed(torch.cat((first, second))).float().chunk(2)
    combined_loss(u, v, network.head.all_pairs(u, v), identity, bce_weight=BCE_WEIGHT)[0].backward()


def compare_steps(name: str, network: SiameseNetwork, side: int, pairs: int) -> dict[str, object]:
    first, second = (torch.randn(pairs, 4, side, side) for _ in range(2))
    identity = torch.arange(pairs)
    ours = SiameseNetwork(network.settings)
    lay_out(ours)
    plain = seconds(lambda: plain_step(network, first, second, identity))
    mine = seconds(lambda: our_step(ours, first, second, identity))
    rates = {"plain_images_per_second": 2 * pairs / plain, "lcmem_images_per_second": 2 * pairs / mine}
    return {"backbone": name, "pairs": pairs, **rates, "ratio": plain / mine}


class Largest(TorchDispatchMode):
    """The largest tensor that any operation makes, in bytes."""

    bytes = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = function(*args, **(kwargs or {}))
        for part in result if isinstance(result, tuple | list) else (result,):
            if isinstance(part, torch.Tensor):
                self.bytes = max(self.bytes, part.numel() * part.element_size())
        return result


def compare_nt_xent(pairs: int) -> dict[str, object]:
    row: dict[str, object] = {"loss": "nt_xent", "pairs": pairs}
    for name, loss in (("plain", plain_nt_xent), ("lcmem", nt_xent)):
        u, v = (torch.rand(pairs, 512, requires_grad=True) for _ in range(2))
        with Largest() as largest:
            loss(u, v, torch.arange(pairs)).backward()
        row[f"{name}_largest_tensor_mb"] = largest.bytes / 1e6
        row[f"{name}_seconds"] = seconds(lambda loss=loss, u=u, v=v: loss(u, v, torch.arange(len(u))).backward())
    return row


def stage_2(pairs: int) -> dict[str, object]:
    threads = torch.get_num_threads()
    encoder, network = load_encoder(), SiameseNetwork(load_recipe("compact-latent").network.settings(4))
    lay_out(network)
    faces = Manifest.read(faces_folder()).paths  # the extra demo; noise would take longer to compress than a picture
    pictures = torch.stack([torch.from_numpy(load_picture(path, 256)) for path in faces[:pairs]])
    levels = (pictures * 255).to(torch.uint8)
    clean, identity = torch.randn(pairs, 4, 32, 32), torch.arange(pairs)
    torch.set_num_threads(1)  # as in the process that makes batches beside the training
    augment = seconds(lambda: Augmentation()(pictures))
    torch.set_num_threads(threads)
    encode = seconds(lambda: encode_pictures(levels, encoder))
    step = seconds(lambda: our_step(network, clean, encode_pictures(levels, encoder), identity))
    return {
        "stage": 2,
        "pairs": pairs,
        "augmented_images_per_second": pairs / augment,
        "encoded_images_per_second": pairs / encode,
        "step_edited_images_per_second": pairs / step,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json")
    parser.add_argument("--pairs", type=int, default=128)
    parser.add_argument("--large", type=int, default=512)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    paper = SiameseNetwork(load_recipe("paper").network.settings(4))
    compact = SiameseNetwork(load_recipe("compact-latent").network.settings(4))
    rows = [
        compare_steps("ConvNeXt-Tiny, 4×64×64 (paper)", paper, 64, arguments.pairs),
        compare_steps("compact, 4×32×32", compact, 32, arguments.pairs),
        compare_nt_xent(64),
        compare_nt_xent(arguments.large // 4),
        stage_2(arguments.pairs),
    ]
    rows.append({"loss": "nt_xent", "pairs": arguments.large, **large_nt_xent(arguments.large)})
    for row in rows:
        print({key: round(value, 3) if isinstance(value, float) else value for key, value in row.items()})
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(rows, file, indent=2, ensure_ascii=False)


def large_nt_xent(pairs: int) -> dict[str, float]:
    """Ours alone: the plain form would make tensors of (2B) × 2B(2B − 2) numbers."""
    u, v = (torch.rand(pairs, 512, requires_grad=True) for _ in range(2))
    with Largest() as largest:
        nt_xent(u, v, torch.arange(pairs)).backward()
    would = 2 * pairs * 2 * pairs * (2 * pairs - 2) * 4 / 1e6
    return {"lcmem_largest_tensor_mb": largest.bytes / 1e6, "plain_would_need_mb": would}


if __name__ == "__main__":
    main()

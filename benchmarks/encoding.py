"""From JPEG files to features: pictures a second before and after tuning, beside imagededup, and each step's share.

    python benchmarks/encoding.py [--data DATA] [--count 500] [--rounds 3] [--json OUT]
    python benchmarks/encoding.py --markdown OUT

Pictures are the ORL faces (extra ``demo``), or a sample of what ``--data`` names: a folder, a CSV file, or a pack with
``manifest.csv`` and zip files (then of its split ``train``). All are saved as JPEG files of quality 92 twice: in their
own size, and enlarged to 2048 pixels a side as a camera would make them.

- *before* is the plain path: each file is decoded whole, resized by Pillow in floats, one colour after the other, and
  64 at once go through encoder and network in PyTorch's usual memory layout; one process, nothing overlaps.
- *lcmem* is :meth:`LCMem.stream` as it is.
- *imagededup* is its ``CNN().encode_images`` (MobileNetV3-small on 224 × 224 pixels, cut at its pooling) with as many
  worker processes as lcmem. Its weights are random here, so that nothing is downloaded: speed does not depend on them.
  Needs ``pip install imagededup``.

In every round all three encode the same files, one after the other; the best round of each counts. ``difference`` is
how far the logits of all pairs of (at most 200) pictures are apart between *before* and *lcmem*. The steps are timed
one after the other in this process, so what overlaps in a run is added up there; *storing* is hashing the files and
writing the atlas.
"""

import argparse
import copy
import io
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from lcmem.atlas import Atlas
from lcmem.datasets import read_dataset
from lcmem.detectors.lcmem import ON_CPU, LCMem
from lcmem.encoders.compact import ConvBlock
from lcmem.jobs.demo import faces_folder
from lcmem.pictures import image
from lcmem.pictures.content import content_table
from lcmem.pictures.loading import default_workers, to_float
from lcmem.pictures.manifest import Manifest
from lcmem.pictures.paths import read_bytes

BATCH, LARGE, QUALITY = 64, 2048, 92
Steps = dict[str, float]


def choose(data: str | None, count: int) -> list[str]:
    if data is not None and (Path(data).name == "manifest.csv" or (Path(data) / "manifest.csv").is_file()):
        root = Path(data).parent if Path(data).is_file() else Path(data)
        found = read_dataset("open-pack", root).select(split="train")
    else:
        found = Manifest.read(data or faces_folder())
    return list(found.table["path"].sample(min(count, len(found)), random_state=0))


def save(paths: list[str], folder: Path, side: int | None) -> list[str]:
    """The pictures as JPEG files, their longer side of so many pixels if that is given."""
    folder.mkdir()
    for number, path in enumerate(paths):
        with Image.open(io.BytesIO(read_bytes(path))) as picture:
            colour = picture.convert("L" if picture.mode == "L" else "RGB")
        scale = side / max(colour.size) if side else 1
        size = (round(colour.width * scale), round(colour.height * scale))
        colour.resize(size, Image.Resampling.BICUBIC).save(folder / f"{number:05}.jpg", quality=QUALITY)
    return sorted(map(str, folder.iterdir()))


@contextmanager
def timed(steps: Steps, name: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    steps[name] = steps.get(name, 0.0) + time.perf_counter() - began


def plain_encode(detector: LCMem, pictures: torch.Tensor) -> torch.Tensor:
    x = 2 * pictures - 1
    for layer in detector.encoder.encoder:  # type: ignore[union-attr]
        x = x + layer.mix(F.silu(layer.spatial(x))) if isinstance(layer, ConvBlock) else layer(x)
    return x


def plain(detector: LCMem, paths: list[str], steps: Steps) -> torch.Tensor:
    """The path before any tuning; ``detector`` lies in the usual memory layout."""
    parts = []
    for start in range(0, len(paths), BATCH):
        pictures = []
        for path in paths[start : start + BATCH]:
            with timed(steps, "decoding"), Image.open(path) as picture:
                planes = np.asarray(picture.convert("RGB"), dtype=np.float32).transpose(2, 0, 1) / 255
            with timed(steps, "resizing"):
                side = (detector.size, detector.size)
                squeezed = [np.asarray(Image.fromarray(p).resize(side, Image.Resampling.BICUBIC)) for p in planes]
                pictures.append(np.rint(np.clip(np.stack(squeezed), 0, 1) * 255).astype(np.uint8))
        with torch.inference_mode():
            with timed(steps, "encoder"):
                latents = plain_encode(detector, torch.from_numpy(np.stack(pictures)).float() / 255)
            with timed(steps, "network"):
                parts.append(detector.network(latents))
    return torch.cat(parts)


def step_by_step(detector: LCMem, paths: list[str], folder: Path) -> Steps:
    """What :meth:`LCMem.stream` and an atlas do, without overlap."""
    steps: Steps = {}
    features, threads = [], torch.get_num_threads()
    for start in range(0, len(paths), BATCH):
        pictures = []
        torch.set_num_threads(1)  # as in a process that decodes
        for path in paths[start : start + BATCH]:
            with timed(steps, "decoding"):
                planes = image._decode(path, detector.size)
            with timed(steps, "resizing"):
                squeezed = image._resized(planes, detector.size)
                levels = squeezed if squeezed.dtype == np.uint8 else np.rint(squeezed * 255).astype(np.uint8)
                pictures.append(torch.from_numpy(levels))
        torch.set_num_threads(threads)
        with torch.inference_mode():
            with timed(steps, "encoder"):
                parts = torch.stack(pictures).split(ON_CPU)
                latents = torch.cat([detector.encoder.encode(to_float(part)) for part in parts])
            with timed(steps, "network"):
                features.append(detector.network(latents))
    atlas = Atlas.create(folder, detector)
    with timed(steps, "storing"):
        atlas.append(Manifest.read(Path(paths[0]).parent), torch.cat(features).numpy(), content_table(paths, {}))
    return steps


def imagededup_encoder(folder: Path, workers: int) -> Callable[[], object]:
    """Its default encoder; torchvision is asked for random weights instead of a download."""
    from imagededup.methods import CNN
    from torchvision import models

    build = models.mobilenet_v3_small
    with mock.patch.object(models, "mobilenet_v3_small", lambda weights: build(weights=None)):
        cnn = CNN(verbose=False)
    cnn.logger.disabled = True
    return lambda: cnn.encode_images(image_dir=folder, num_enc_workers=workers)


def seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def difference(detector: LCMem, before: torch.Tensor, after: torch.Tensor) -> dict[str, float]:
    one, other = (detector.logits(u[:, None], u[None]) for u in (before[:200], after[:200]))
    gap = (one - other).abs()
    return {"largest": float(gap.max()), "mean": float(gap.mean())}


def measure(name: str, paths: list[str], rounds: int) -> dict[str, Any]:
    tuned = LCMem.load("compact")
    usual = copy.deepcopy(tuned)
    for module in (usual.encoder, usual.network):
        module.to(memory_format=torch.contiguous_format)
    workers, plain_steps = default_workers(), []
    kept: dict[str, torch.Tensor] = {}

    def before() -> None:
        plain_steps.append({})
        kept["before"] = plain(usual, paths, plain_steps[-1])

    def after() -> None:
        kept["after"] = torch.cat([features for _, features in tuned.stream(paths, workers=workers)])

    calls = {"before": before, "lcmem": after, "imagededup": imagededup_encoder(Path(paths[0]).parent, workers)}
    times: dict[str, list[float]] = {method: [] for method in calls}
    tuned.features(paths[:BATCH])
    for _ in range(rounds):
        for method, call in calls.items():
            times[method].append(seconds(call))
    with tempfile.TemporaryDirectory() as folder:
        ours = [step_by_step(tuned, paths, Path(folder) / str(number)) for number in range(rounds)]
    best = {method: len(paths) / min(found) for method, found in times.items()}
    return {
        "pictures": name, "count": len(paths), "kilobytes": sum(map(os.path.getsize, paths)) / len(paths) / 1e3,
        "workers": workers, "pictures_per_second": best, "seconds": times,
        "ratio": best["lcmem"] / best["before"], "ratio_to_imagededup": best["lcmem"] / best["imagededup"],
        "milliseconds_before": milliseconds(plain_steps, len(paths)), "milliseconds": milliseconds(ours, len(paths)),
        "difference": difference(tuned, kept["before"], kept["after"]),
    }  # fmt: skip


def milliseconds(rounds: list[Steps], count: int) -> Steps:
    """Of each step for one picture, in its best round."""
    return {step: 1000 * min(steps[step] for steps in rounds) / count for step in rounds[0]}


def markdown(found: dict[str, Any]) -> str:
    """The tables of docs/encoding.md."""
    lines = ["| JPEG files | before | lcmem | imagededup's CNN |", "|---|---|---|---|"]
    for row in found["rows"]:
        speed = row["pictures_per_second"]
        numbers = " | ".join(f"{speed[method]:.1f}" for method in ("before", "lcmem", "imagededup"))
        lines.append(f"| {row['pictures']} ({row['kilobytes']:.0f} kB) | {numbers} |")
    steps = list(found["rows"][0]["milliseconds"])
    lines += ["", f"| milliseconds for a picture | {' | '.join(steps)} |", "|---" * (len(steps) + 1) + "|"]
    for row in found["rows"]:
        for title, key in (("before", "milliseconds_before"), ("lcmem", "milliseconds")):
            spent = row[key]
            whole = sum(spent.values())
            shares = [f"{spent[s]:.2f} ({spent[s] / whole:.0%})" if s in spent else "–" for s in steps]
            lines.append(f"| {row['pictures']}, {title} | {' | '.join(shares)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path, metavar="OUT", help="print the tables of an earlier run's JSON")
    chosen = parser.parse_args()
    if chosen.markdown:
        print(markdown(json.loads(chosen.markdown.read_text(encoding="utf-8"))))
        return
    paths, rows = choose(chosen.data, chosen.count), []
    with tempfile.TemporaryDirectory() as folder:
        for name, side in (("own size", None), (f"{LARGE} pixels", LARGE)):
            rows.append(measure(name, save(paths, Path(folder) / name.replace(" ", "-"), side), chosen.rounds))
            print(json.dumps(rows[-1]), flush=True)
    about = {"threads": torch.get_num_threads(), "cores": os.cpu_count(), "torch": torch.__version__}
    found = {"about": about | {"imagededup_weights": "random", "load": os.getloadavg()}, "rows": rows}
    print(markdown(found))
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

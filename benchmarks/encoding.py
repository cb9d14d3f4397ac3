"""From JPEG files to features: pictures a second of the bundled models beside imagededup, and each step's share.

    python benchmarks/encoding.py [DATA …] [--count 500] [--rounds 3] [--json OUT]
    python benchmarks/encoding.py --markdown OUT

Pictures are the ORL faces (extra ``demo``), each of which SFace looks at, and a sample of each DATA: a folder, a CSV
file, or a pack with ``manifest.csv`` and zip files (then of its split ``train``). All are saved as JPEG files of
quality 92 twice: in their own size, and enlarged to 2048 pixels a side as a camera would make them.

- *compact* and *compact-latent* are :meth:`LCMem.stream` as it is.
- *imagededup* is its ``CNN().encode_images`` (MobileNetV3-small on 224 × 224 pixels, cut at its pooling) with as many
  worker processes as lcmem. Its weights are random here, so that nothing is downloaded: speed does not depend on them.
  Needs ``pip install imagededup``.

In every round all of them encode the same files, one after the other; the best round of each counts. The steps are
timed one after the other in this process, so what overlaps in a run is added up there; *storing* is hashing the files
and writing the atlas.
"""

import argparse
import io
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from PIL import Image

from lcmem.atlas import Atlas
from lcmem.datasets import read_dataset
from lcmem.detectors.lcmem import NETWORK_ON_CPU, ON_CPU, LCMem
from lcmem.jobs.demo import faces_folder
from lcmem.pictures import image
from lcmem.pictures.content import content_table
from lcmem.pictures.loading import default_workers, to_float
from lcmem.pictures.manifest import Manifest
from lcmem.pictures.paths import read_bytes

MODELS = ("compact", "compact-latent")
LARGE, QUALITY = 2048, 92
Steps = dict[str, float]


def choose(data: str, count: int) -> list[str]:
    place = Path(data)
    if place.name == "manifest.csv" or (place / "manifest.csv").is_file():
        found = read_dataset("open-pack", place.parent if place.is_file() else place).select(split="train")
    else:
        found = Manifest.read(data)
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


def step_by_step(detector: LCMem, paths: list[str], folder: Path) -> Steps:
    """What :meth:`LCMem.stream` and an atlas do, without overlap."""
    steps: Steps = {}
    features, threads = [], torch.get_num_threads()
    encoder, network = detector.engines[0]
    for start in range(0, len(paths), NETWORK_ON_CPU):
        pictures = []
        torch.set_num_threads(1)  # as in a process that decodes
        for path in paths[start : start + NETWORK_ON_CPU]:
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
                latents = torch.cat([encoder.encode(to_float(part)) for part in parts])
            with timed(steps, "network"):
                features.append(network(latents))
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


def measure(name: str, paths: list[str], rounds: int) -> dict[str, Any]:
    models, workers = {model: LCMem.load(model) for model in MODELS}, default_workers()
    calls: dict[str, Callable[[], object]] = {
        title: partial(all_features, model, paths, workers) for title, model in models.items()
    }
    calls["imagededup"] = imagededup_encoder(Path(paths[0]).parent, workers)
    times: dict[str, list[float]] = {method: [] for method in calls}
    for model in models.values():
        model.features(paths[:NETWORK_ON_CPU])
    for _ in range(rounds):
        for method, call in calls.items():
            times[method].append(seconds(call))
    with tempfile.TemporaryDirectory() as folder:
        steps = {
            title: [step_by_step(model, paths, Path(folder) / f"{title}{at}") for at in range(rounds)]
            for title, model in models.items()
        }
    best = {method: len(paths) / min(found) for method, found in times.items()}
    return {
        "pictures": name, "count": len(paths), "kilobytes": sum(map(os.path.getsize, paths)) / len(paths) / 1e3,
        "workers": workers, "pictures_per_second": best, "seconds": times,
        "ratio_to_imagededup": {model: best[model] / best["imagededup"] for model in models},
        "milliseconds": {model: milliseconds(found, len(paths)) for model, found in steps.items()},
    }  # fmt: skip


def all_features(model: LCMem, paths: list[str], workers: int) -> torch.Tensor:
    return torch.cat([features for _, features in model.stream(paths, workers=workers)])


def milliseconds(rounds: list[Steps], count: int) -> Steps:
    """Of each step for one picture, in its best round."""
    return {step: 1000 * min(steps[step] for steps in rounds) / count for step in rounds[0]}


def markdown(found: dict[str, Any]) -> str:
    """The tables of docs/encoding.md."""
    lines = [f"| JPEG files | {' | '.join(MODELS)} | imagededup's CNN |", "|---" * (len(MODELS) + 2) + "|"]
    for row in found["rows"]:
        speed, ratio = row["pictures_per_second"], row["ratio_to_imagededup"]
        ours = [f"{speed[model]:.0f} ({ratio[model]:.2f} ×)" for model in MODELS]
        numbers = " | ".join([*ours, f"{speed['imagededup']:.0f}"])
        lines.append(f"| {row['pictures']} ({row['kilobytes']:.0f} kB) | {numbers} |")
    steps = list(found["rows"][0]["milliseconds"][MODELS[0]])
    lines += ["", f"| milliseconds for a picture | {' | '.join(steps)} |", "|---" * (len(steps) + 1) + "|"]
    for row in found["rows"]:
        for model, spent in row["milliseconds"].items():
            whole = sum(spent.values())
            shares = " | ".join(f"{value:.2f} ({value / whole:.0%})" for value in spent.values())
            lines.append(f"| {row['pictures']}, {model} | {shares} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="*")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path, metavar="OUT", help="print the tables of an earlier run's JSON")
    chosen = parser.parse_args()
    if chosen.markdown:
        print(markdown(json.loads(chosen.markdown.read_text(encoding="utf-8"))))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for data in (str(faces_folder()), *chosen.data):
            paths = choose(data, chosen.count)
            for size, side in (("own size", None), (f"{LARGE} pixels", LARGE)):
                name = f"{Path(data).stem}, {size}"
                rows.append(measure(name, save(paths, Path(folder) / name.replace(", ", "-"), side), chosen.rounds))
                print(json.dumps(rows[-1]), flush=True)
    about = {"threads": torch.get_num_threads(), "cores": os.cpu_count(), "torch": torch.__version__}
    found = {"about": about | {"imagededup_weights": "random", "load": os.getloadavg()}, "rows": rows}
    print(markdown(found))
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

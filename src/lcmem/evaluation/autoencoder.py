"""How well an autoencoder keeps a picture, and how long it takes to encode one."""

import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from lcmem.encoders import LatentEncoder
from lcmem.encoders.base import psnr
from lcmem.files import write_table
from lcmem.pictures.loading import to_float
from lcmem.pictures.manifest import Manifest
from lcmem.progress import progress_bar
from lcmem.store.pictures import decode_pictures

BATCH = 32


@torch.inference_mode()
def benchmark_autoencoder(
    manifest: Manifest, encoder: LatentEncoder, size: int, out: str | os.PathLike[str]
) -> pd.DataFrame:
    """PSNR of the round trip at ``size`` × ``size`` pixels.

    Returns:
        ``dataset, pictures, psnr_mean, psnr_p5, encode_ms`` with a last row over all pictures; also written to
        ``out/autoencoder.csv``. ``encode_ms`` is the time for one picture in batches of 32, without decoding the file.
    """
    folder = Path(out)
    found = decode_pictures(manifest, size, folder / "cache")
    pictures, kept = found.pixels, found.manifest
    values, seconds = np.empty(len(kept)), np.empty(len(kept))
    with progress_bar("round trips", len(kept)) as advance:
        for start in range(0, len(kept), BATCH):
            batch = to_float(torch.from_numpy(pictures[start : start + BATCH].copy()))
            began = time.perf_counter()
            latents = encoder.encode(batch)
            seconds[start : start + BATCH] = (time.perf_counter() - began) / len(batch)
            values[start : start + BATCH] = psnr(encoder.decode(latents), batch).numpy()
            advance(len(batch))
    table = pd.DataFrame({"dataset": kept.table["dataset"], "psnr": values, "ms": 1000 * seconds})
    rows = [(name, part) for name, part in table.groupby("dataset")] + [("all", table)]
    summary = pd.DataFrame(
        [
            {
                "dataset": name,
                "pictures": len(part),
                "psnr_mean": part["psnr"].mean(),
                "psnr_p5": part["psnr"].quantile(0.05),
                "encode_ms": part["ms"].median(),
            }
            for name, part in rows
        ]
    )
    write_table(summary, folder / "autoencoder.csv", float_format="%.3f")
    return summary

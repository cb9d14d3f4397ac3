"""Time and memory of a table with many pictures: reading it, what ``lcmem check`` says, an audit up to the features.

    python benchmarks/rows.py [--rows 1000000] [--out docs/rows-benchmark.json]

The pictures are a thousand small ones, reached through as many linked folders, so that every row has a path of its own.
Features are made up, since encoding is measured by ``lcmem benchmark speed``; of the pictures that ``check``
opens, the first :data:`OPENED` are opened.
"""

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lcmem.files import write_json
from lcmem.jobs.check import inspect_pictures
from lcmem.matching.feature_set import FeatureSet
from lcmem.matching.features import extract_features, open_features
from lcmem.pictures.content import linked_to
from lcmem.pictures.hints import identity_advice
from lcmem.pictures.manifest import Manifest
from lcmem.pictures.set_depth import same_depth
from lcmem.store import Encoded

PICTURES, SIDE, IDENTITIES, DIMS = 1000, 32, 200, 16
OPENED = 5_000
EVERY = 100
"""One row in so many names a picture that has gone."""
BATCH = 256


def make(folder: Path, rows: int) -> Path:
    """The pictures, the linked folders, and a table with a row for each path."""
    rng, real = np.random.default_rng(0), folder / "pictures"
    real.mkdir()
    for number in range(PICTURES):
        levels = rng.integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
        Image.fromarray(levels).save(real / f"{number:04d}.png")
    links = -(-rows // PICTURES)
    for number in range(links):
        (folder / f"link{number:04d}").symlink_to(real, target_is_directory=True)
    with (folder / "table.csv").open("w") as table:
        print("path,identity", file=table)
        for at in range(rows):
            name = f"gone{at}" if at % EVERY == 0 else f"{at % PICTURES:04d}"
            print(f"link{at // PICTURES:04d}/{name}.png,person {at % (IDENTITIES * links)}", file=table)
    return folder / "table.csv"


class Free:
    """What an audit needs of a detector to have the features of a set, with features that cost nothing."""

    fingerprint, name, dims = "none", "none", DIMS

    def encode(self, paths: list[str]) -> Iterable[Encoded]:
        """Zeros."""
        for start in range(0, len(paths), BATCH):
            at = range(start, min(start + BATCH, len(paths)))
            yield Encoded(at, np.zeros((len(at), DIMS), np.float32), [])


def featured(manifest: Manifest, folder: Path) -> FeatureSet:
    detector = Free()
    return extract_features(manifest, detector, open_features(folder, detector), encode=detector.encode)


def measured(name: str, work: Callable[[], Any], rows: int, table: dict[str, Any]) -> Any:
    """Do something, and note its seconds and the most memory that the process ever held."""
    began = time.process_time(), time.perf_counter()
    found = work()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    table[name] = {
        "cpu_seconds": round(time.process_time() - began[0], 1),
        "microseconds_a_row": round(1e6 * (time.process_time() - began[0]) / rows, 1),
        "peak_megabytes": round(peak),
    }
    print(f"{name}: {json.dumps(table[name])}", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--out", type=Path)
    options, table = parser.parse_args(), {}
    rows = options.rows
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = make(folder, rows)
        measured("nothing yet", lambda: None, rows, table)
        manifest = measured("reading the table", lambda: Manifest.read(source), rows, table)
        measured("identities", lambda: identity_advice(manifest), rows, table)
        measured("links", lambda: sum(map(bool, linked_to(manifest.paths))), rows, table)
        some = manifest.paths[:OPENED]
        measured("opening pictures", lambda: inspect_pictures(some, workers=0), len(some), table)
        sets = measured("scaling alike", lambda: same_depth({"real": manifest, "synthetic": manifest}), rows, table)
        for title in ("a first audit", "the same again"):
            found = measured(f"features, {title}", lambda: featured(sets["real"], folder / "features"), rows, table)
            assert len(found.skipped) == -(-rows // EVERY) and len(found.blocks) == rows - len(found.skipped)
    if options.out:
        write_json({"rows": rows, "parts": table}, options.out)


if __name__ == "__main__":
    main()

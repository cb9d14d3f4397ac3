"""The Atlas: stored features of pictures, so that none is encoded twice (paper, section 3.2)."""

import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lcmem.errors import LCMemError
from lcmem.images import split_slice, split_zip

CARD = "atlas.json"


def file_stamp(path: str) -> str:
    """Size and time of the last change of a file (of the archive, for a member of one); "" if it is not there."""
    try:
        file, _ = split_slice(path)
        status = os.stat(split_zip(file)[0] or file)
    except OSError:
        return ""
    return f"{status.st_size}-{status.st_mtime_ns}"


class Atlas:
    """A folder of Parquet shards with path, file stamp and features, and a card with the model's fingerprint.

    Shards are only added, each under a temporary name first: whatever kills a run, what it finished stays readable.

    Args:
        folder: Where it is, or is to be made.
        fingerprint: Of the model whose features it holds.
        features: D.

    Raises:
        LCMemError: The folder holds another model's features.
    """

    def __init__(self, folder: str | os.PathLike[str], fingerprint: str, features: int) -> None:
        self.folder, self.fingerprint, self.features = Path(folder), fingerprint, features
        self.folder.mkdir(parents=True, exist_ok=True)
        card = self.folder / CARD
        if card.is_file():
            found = json.loads(card.read_text(encoding="utf-8")).get("fingerprint")
            if found != fingerprint:
                raise LCMemError(
                    f"{self.folder}: holds features of another model ({str(found)[:12]}…, not {fingerprint[:12]}…); "
                    "choose another folder or delete this one"
                )
        else:
            content = {"kind": "atlas", "fingerprint": fingerprint, "features": features}
            partial = card.with_suffix(".partial")
            partial.write_text(json.dumps(content, indent=2), encoding="utf-8")
            partial.replace(card)

    def append(self, paths: list[str], features: np.ndarray) -> None:
        """Add features ``[N, D]`` as one shard."""
        if not len(paths):
            return
        flat = pa.array(np.ascontiguousarray(features, dtype=np.float32).reshape(-1))
        columns = {
            "path": pa.array(paths),
            "stamp": pa.array([file_stamp(path) for path in paths]),
            "features": pa.FixedSizeListArray.from_arrays(flat, self.features),
        }
        number = len(list(self.folder.glob("part-*.parquet")))
        target = self.folder / f"part-{number:06d}.parquet"
        partial = target.with_suffix(".partial")
        pq.write_table(pa.table(columns), partial)
        partial.replace(target)

    def lookup(self, paths: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """What is stored of these pictures.

        Returns:
            Which of them are stored and unchanged since, ``[N]``, and features ``[N, D]`` (zeros for the others).

        Raises:
            LCMemError: A shard is damaged, or holds NaN.
        """
        features = np.zeros((len(paths), self.features), dtype=np.float32)
        found = np.zeros(len(paths), dtype=bool)
        wanted = {(path, file_stamp(path)): row for row, path in enumerate(paths)}
        for shard in sorted(self.folder.glob("part-*.parquet")):
            keys, values = self._read(shard)
            rows = [(row, wanted[key]) for row, key in enumerate(keys) if key in wanted]
            if rows:
                source, target = np.array(rows).T
                features[target], found[target] = values[source], True
        return found, features

    def _read(self, shard: Path) -> tuple[list[tuple[str, str]], np.ndarray]:
        try:
            table = pq.read_table(shard)
            values = table["features"].combine_chunks().flatten().to_numpy().reshape(-1, self.features)
            keys = [*zip(table["path"].to_pylist(), table["stamp"].to_pylist(), strict=True)]
        except Exception as error:  # pyarrow raises its own kinds on truncated files
            raise LCMemError(
                f"{shard}: damaged ({error}); delete this file, its pictures are then done anew"
            ) from error
        if not np.isfinite(values).all():
            raise LCMemError(f"{shard}: holds NaN; delete this file, its pictures are then done anew")
        return keys, values

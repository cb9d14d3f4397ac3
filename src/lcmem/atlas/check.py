"""Whether an atlas is whole: everything is read again."""

import numpy as np

from lcmem.atlas.atlas import Atlas
from lcmem.atlas.shard import read_shard
from lcmem.errors import LCMemError
from lcmem.pictures.content import content_table


def verify(atlas: Atlas, *, pictures: bool = False) -> list[str]:
    """Read every shard: there, of the right dimension and number of rows, finite, no path twice.

    Args:
        atlas: The atlas.
        pictures: Read the pictures too, and compare their content with what was encoded.

    Returns:
        What is wrong, a line for each shard or picture; empty if nothing is.
    """
    problems = []
    for name, rows in atlas.card.shards.items():
        try:
            shard = read_shard(atlas.folder / name, rows, atlas.card.features)
            shard.table.validate(full=True)
            broken = int((~np.isfinite(shard.features).all(1)).sum())
            if broken:
                problems.append(f"{shard.path}: NaN in {broken} pictures; delete this file and index them anew")
        except (LCMemError, ValueError) as error:  # pyarrow's ArrowInvalid is a ValueError
            problems.append(str(error))
    if problems:
        return problems
    repeated = atlas.table["path"][atlas.table["path"].duplicated()]
    problems += [f"{path}: in the atlas more than once; remove it and index it anew" for path in repeated]
    return problems + (_changed(atlas) if pictures else [])


def _changed(atlas: Atlas) -> list[str]:
    """Pictures that are gone, or are not what was encoded."""
    found = content_table(list(atlas.paths), {})
    gone = found["reason"][found["reason"] != ""].to_list()
    differ = found["path"][(found["reason"] == "") & (found["sha256"] != atlas.table["sha256"])]
    return gone + [f"{path}: has changed since it was encoded; index it anew" for path in differ]

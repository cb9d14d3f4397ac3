"""Whether an atlas is whole: everything is read again."""

import numpy as np

from lcmem.atlas.atlas import Atlas
from lcmem.errors import LCMemError
from lcmem.pictures.content import content_table
from lcmem.pictures.paths import file_stamp


def verify(atlas: Atlas, *, pictures: bool = False) -> list[str]:
    """Read every shard: there, each row as it was written, each picture's row in it, no path twice.

    Args:
        atlas: The atlas.
        pictures: Read the pictures too, and compare their content with what was encoded.

    Returns:
        What is wrong, a line for each shard or picture; empty if nothing is.
    """
    problems = atlas.store.verify()
    if problems:
        return problems
    if atlas.store.shards.numbers() and not len(atlas):
        return [f"{atlas.folder}: no picture is listed; lcmem index, given again, goes on where it was stopped"]
    try:
        atlas.blocks()
    except LCMemError as error:
        return [str(error)]
    wrong = atlas.table["path"].duplicated() | (atlas.store.find(atlas.table["sha256"])[:, 0] < 0)
    store = atlas.store
    used = {*store.index.places()[:, 0].tolist()}
    unused = sum(number < store.index.next and number not in used for number in store.shards.numbers())
    if unused:
        problems.append(
            f"{atlas.folder}: {unused} files of features that no picture has any more, since a command was "
            "killed; lcmem index or lcmem atlas remove, given again, deletes them"
        )
    problems += [
        f"{path}: in the atlas more than once, or without features; index it again" for path in atlas.paths[wrong]
    ]
    return problems + (_changed(atlas) if pictures else [])


def gone_and_changed(atlas: Atlas) -> tuple[np.ndarray, np.ndarray]:
    """Which pictures are not there, and which are but are not what was encoded: ``[N]`` booleans each.

    Only files whose size or date differs from what the atlas knows are read.
    """
    stamps = np.array([file_stamp(path) for path in atlas.paths], dtype=object)
    gone = stamps == ""
    changed = ~gone & (stamps != atlas.table["stamp"].to_numpy(dtype=object))
    suspects = np.flatnonzero(changed)
    if len(suspects):
        found = content_table(list(atlas.paths[suspects]), {})
        changed[suspects] = found["sha256"].to_numpy(object) != atlas.table["sha256"].to_numpy(object)[suspects]
    return gone, changed


def _changed(atlas: Atlas) -> list[str]:
    """Pictures that are gone, or are not what was encoded."""
    found = content_table(list(atlas.paths), {})
    gone = found["reason"][found["reason"] != ""].to_list()
    differ = found["path"][(found["reason"] == "") & (found["sha256"] != atlas.table["sha256"])]
    return gone + [f"{path}: has changed since it was encoded; index it again" for path in differ]

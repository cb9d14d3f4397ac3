"""Whether an atlas is whole: everything is read again."""

from lcmem.atlas.atlas import Atlas
from lcmem.errors import LCMemError
from lcmem.pictures.content import content_table


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
    try:
        atlas.blocks()
    except LCMemError as error:
        return [str(error)]
    wrong = atlas.table["path"].duplicated() | (atlas.store.find(atlas.table["sha256"])[:, 0] < 0)
    problems += [
        f"{path}: in the atlas more than once, or without features; index it again" for path in atlas.paths[wrong]
    ]
    return problems + (_changed(atlas) if pictures else [])


def _changed(atlas: Atlas) -> list[str]:
    """Pictures that are gone, or are not what was encoded."""
    found = content_table(list(atlas.paths), {})
    gone = found["reason"][found["reason"] != ""].to_list()
    differ = found["path"][(found["reason"] == "") & (found["sha256"] != atlas.table["sha256"])]
    return gone + [f"{path}: has changed since it was encoded; index it again" for path in differ]

"""Which pictures the copy benchmark takes: a random choice by content, the same on every machine."""

import pandas as pd

from lcmem.pictures.content import content_table
from lcmem.pictures.manifest import Manifest


def random_pictures(manifest: Manifest, count: int) -> Manifest:
    """At most ``count`` different pictures, as evenly over the datasets as their sizes allow."""
    table = _shuffled(manifest)
    ranks = pd.DataFrame({"rank": table.groupby("dataset").cumcount(), "dataset": table["dataset"]})
    return Manifest(_in_order(table.loc[ranks.sort_values(["rank", "dataset"]).index[:count]]))


def random_identities(manifest: Manifest, count: int) -> Manifest:
    """At most ``count`` different pictures of each dataset, identity after identity, so that they make pairs."""
    table = _shuffled(manifest)
    named = table["identity"] != ""
    own = table.loc[named].groupby(["dataset", "identity"])["sha256"].transform("min")
    first = own.reindex(table.index).fillna(table["sha256"])
    order = pd.DataFrame({"first": first, "key": table["sha256"]}).sort_values(["first", "key"]).index
    table = table.loc[order]
    return Manifest(_in_order(table[table.groupby("dataset").cumcount() < count]))


def content_hashes(chosen: Manifest) -> list[str]:
    """The content hash of each chosen picture, as it was chosen by; "" where it could not be read."""
    table = chosen.table
    return list(table["sha256"].where(table["sha256"] != table["path"], ""))


def _shuffled(manifest: Manifest) -> pd.DataFrame:
    """The pictures in the order of their content hashes, equal files once; what cannot be read stays, to be listed."""
    content = content_table(manifest.paths, {})["sha256"]
    keys = content.where(content != "", manifest.table["path"].to_numpy())
    table = manifest.table.assign(sha256=keys.to_numpy())
    return table.drop_duplicates(["dataset", "sha256"]).sort_values("sha256").reset_index(drop=True)


def _in_order(table: pd.DataFrame) -> pd.DataFrame:
    return table.sort_values(["dataset", "sha256"]).reset_index(drop=True)

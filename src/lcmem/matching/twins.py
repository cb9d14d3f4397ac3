"""Pictures that are the same where they should not be: under two identities, or in two sets."""

import os

import numpy as np
import pandas as pd

from lcmem.matching.feature_set import FeatureSet

TWINS = ["kind", "path", "identity", "other", "other_identity"]
TWO_IDENTITIES = "the same picture under two identities"
IN_HOLDOUT = "in the real set and in the holdout"
IN_BOTH = "synthetic picture that is a file of the real set"


def shared_files(synthetic: FeatureSet, real: FeatureSet) -> tuple[np.ndarray, pd.DataFrame]:
    """Positions of real pictures that are files of the synthetic set, and their table."""
    equal = set(synthetic.keys) & set(real.keys)
    files = {
        os.path.realpath(path): at
        for at, (path, key) in enumerate(zip(synthetic.manifest.paths, synthetic.keys, strict=True))
        if key in equal
    }
    pairs = [
        (at, files[os.path.realpath(path)])
        for at, (path, key) in enumerate(zip(real.manifest.paths, real.keys, strict=True))
        if key in equal and os.path.realpath(path) in files
    ]
    positions = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return positions[:, 0], twin_table(IN_BOTH, synthetic, positions[:, 1], real, positions[:, 0])


def twin_table(kind: str, first: FeatureSet, one: np.ndarray, second: FeatureSet, two: np.ndarray) -> pd.DataFrame:
    """Rows ``kind, path, identity, other, other_identity`` of the pairs (one[i], two[i])."""
    mine, theirs = first.manifest.table.iloc[one], second.manifest.table.iloc[two]
    columns = (mine["path"], mine["identity"], theirs["path"], theirs["identity"])
    return pd.DataFrame({"kind": kind, **dict(zip(TWINS[1:], (each.to_numpy() for each in columns), strict=True))})

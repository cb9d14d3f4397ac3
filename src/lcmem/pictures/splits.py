"""Train, val and test by a hash of the identity."""

import hashlib

import pandas as pd


def hash_share(identity: str) -> float:
    """A number in [0, 1) that is this identity's own."""
    return int.from_bytes(hashlib.sha256(identity.encode()).digest()[:8], "big") / 2**64


def hash_split(identity: str, *, val: float = 0.1, test: float = 0.1) -> str:
    """Train, val or test by a hash of the identity: the same on every machine, whatever else is in the set.

    Args:
        identity: Pictures of one identity always get the same answer.
        val: Share of the identities that go to val.
        test: Share that go to test.
    """
    drawn = hash_share(identity)
    return "test" if drawn < test else "val" if drawn < test + val else "train"


def hash_splits(identities: pd.Series, *, val: float = 0.1, test: float = 0.1) -> pd.Series:
    """:func:`hash_split` of a column."""
    return identities.map({identity: hash_split(identity, val=val, test=test) for identity in identities.unique()})

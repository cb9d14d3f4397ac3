"""Pairs of pictures: drawn from labelled pictures, or read from a list."""

from lcmem.pairs.drawing import PROTOCOLS, Pairs, copy_pairs, identity_pairs, split_by_dataset
from lcmem.pairs.lists import PairList, read_pairs, write_pairs

__all__ = [
    "PROTOCOLS",
    "PairList",
    "Pairs",
    "copy_pairs",
    "identity_pairs",
    "read_pairs",
    "split_by_dataset",
    "write_pairs",
]

"""The scan written down plainly: every score from ``pair_logits``, sorted."""

from functools import partial

import numpy as np
import torch

from lcmem.detectors.base import Detector
from lcmem.model import LinearHead, pair_logits
from lcmem.scan import engine, pass_numba, pass_torch

BACKENDS = {
    "compiled": (pass_numba.find_candidates, 64),
    "portable": (partial(pass_torch.find_candidates, device="cpu"), 256),
}


def head(weight, bias):
    """A head of these values, in their own precision."""
    made = LinearHead(len(weight))
    made.raw_weight = torch.nn.Parameter(torch.as_tensor(weight), requires_grad=False)
    made.bias = torch.nn.Parameter(torch.as_tensor(bias), requires_grad=False)
    return made


class HeadOnly(Detector):
    """A detector of given weights and bias, for features that are given."""

    name, fingerprint, head = "head", "head", None

    def __init__(self, weight, bias):
        self.head = head(weight, bias)

    def embed(self, pictures):
        raise NotImplementedError

    def similarity(self, u, v):
        return pair_logits(u, v, self.head.weight, self.head.bias)

    def similarities(self, u, v):
        return self.head.all_pairs(u, v)


def reference(queries, gallery, weight, bias):
    """Logits ``[Q, G]``."""
    left, right = torch.as_tensor(queries)[:, None], torch.as_tensor(gallery)[None]
    return pair_logits(left, right, torch.as_tensor(weight), torch.as_tensor(bias)).numpy()


def top(logits, k):
    """The k best: higher logits first, then lower positions; −∞ and −1 for what is left out."""
    logits = np.pad(logits, ((0, 0), (0, k)), constant_values=-np.inf)
    order = np.argsort(-logits, axis=1, kind="stable")[:, :k]
    values = np.take_along_axis(logits, order, 1)
    return values, np.where(np.isneginf(values), -1, order)


def masks(query_identities, gallery_identities):
    left, right = np.asarray(query_identities)[:, None], np.asarray(gallery_identities)[None]
    known = (left >= 0) & (right >= 0)
    return {"unknown": ~known, "same": known & (left == right), "different": known & (left != right)}


def assert_is_reference(found, logits, k, threshold, kinds, counted):
    """Everything that ``found`` reports, against logits ``[Q, G]`` (−∞: not compared)."""
    lists = {"best": np.ones_like(counted), "same": kinds["same"], "different": kinds["different"]}
    for name, allowed in lists.items():
        values, positions = top(np.where(allowed, logits, -np.inf), k)
        assert np.array_equal(getattr(found, name).logits, values), name
        assert np.array_equal(getattr(found, name).positions, positions), name
    query, row = np.nonzero(counted & (logits >= threshold))
    table = found.matches()
    assert table["query"].tolist() == query.tolist() and table["gallery"].tolist() == row.tolist()
    assert np.array_equal(table["logit"], logits[query, row])
    assert found.pairs == counted.sum()
    for name, allowed in kinds.items():
        assert found.match_counts[name] == (table["kind"] == name).sum() == (allowed[query, row]).sum()
        assert_histogram(found.histogram, name, logits[counted & allowed])


def assert_histogram(histogram, name, logits):
    """The total is exact, and every cumulative count lies between the true ones at its edge ± the stated error."""
    assert histogram.counts[name].sum() == len(logits)
    above = histogram.counts[name][::-1].cumsum()[::-1]
    ordered = np.sort(logits)

    def at_least(levels):
        return len(ordered) - np.searchsorted(ordered, levels)

    edges, slack = histogram.edges[:-1], 1e-12 * np.abs(histogram.edges).max()
    width = np.diff(histogram.edges).max()  # a bin includes its upper edge, in logits
    assert (above >= at_least(edges + histogram.error + width + slack)).all()
    assert (above <= at_least(edges - histogram.error - slack)).all()


def use(monkeypatch, name, tile=None):
    """Make the engine take this byte pass, with tiles of this many queries and gallery rows."""
    find, size = BACKENDS[name]
    module = {"compiled": pass_numba, "portable": pass_torch}[name]
    if tile is not None:
        monkeypatch.setattr(module, "GALLERY", tile[1])
        monkeypatch.setattr(pass_numba, "TILE", 8)
        size = tile[0]
    monkeypatch.setattr(engine, "backend", lambda device: (find, size))

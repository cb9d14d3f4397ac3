"""IRS, Fréchet and kernel distances: exact, ending, and equal to independent computations."""

import itertools
from collections import Counter
from math import comb, factorial

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from lcmem.errors import LCMemError
from lcmem.generation.distances import frechet_distance, kernel_distance, with_floor
from lcmem.generation.irs import ALPHA, most_likely, occupancy, retrieval_score, score_of_counts


def enumerated(learnt: int, queries: int) -> dict[int, float]:
    """Every sequence of draws, counted."""
    draws = itertools.product(range(learnt), repeat=queries)
    counts = Counter(len(set(draw)) for draw in draws)
    return {k: count / learnt**queries for k, count in counts.items()}


def by_stirling(k: int, learnt: int, queries: int) -> float:
    """The closed form, in integers."""
    if k > learnt:
        return 0.0
    stirling = sum((-1) ** i * comb(k, i) * (k - i) ** queries for i in range(k + 1)) // factorial(k)
    return factorial(learnt) // factorial(learnt - k) * stirling / learnt**queries


@pytest.mark.parametrize("learnt, queries", [(1, 1), (1, 5), (2, 4), (3, 5), (4, 6), (5, 5), (6, 3)])
def test_occupancy_is_what_enumerating_every_draw_gives(learnt, queries):
    start, chances = occupancy(learnt, queries)
    found = {start + at: chance for at, chance in enumerate(chances) if chance > 0}
    assert found == pytest.approx(enumerated(learnt, queries))


def test_occupancy_is_the_closed_form_and_trimming_loses_nothing():
    start, chances = occupancy(150, 300)
    exact = [by_stirling(start + at, 150, 300) for at in range(len(chances))]
    np.testing.assert_allclose(chances, exact, rtol=1e-9, atol=1e-24)
    assert chances.sum() == pytest.approx(1, abs=1e-12)
    assert len(chances) < 140, "both ends are dropped"


def test_score_is_the_maximum_and_the_interval_is_its_definition_for_every_small_case():
    for total, queries in itertools.product(range(1, 9), range(1, 9)):
        for k in range(1, min(total, queries) + 1):
            found = score_of_counts(k, queries, total)
            chances = {s: by_stirling(k, s, queries) for s in range(k, total + 1)}
            assert chances[found.learnt] == pytest.approx(max(chances.values()))
            tails = {s: [by_stirling(j, s, queries) for j in range(queries + 1)] for s in range(k, total + 1)}
            upper = [s for s, p in tails.items() if sum(p[: k + 1]) >= ALPHA]
            lower = [s for s, p in tails.items() if sum(p[k:]) >= ALPHA]
            assert found.high == max(upper)
            assert found.low == min([*lower, found.learnt])


def test_most_likely_by_brute_force_where_stirling_numbers_are_huge():
    def ratio(s, k, n):  # of the probabilities at s + 1 and s, in integers
        return (s + 1) * s**n, (s + 1 - k) * (s + 1) ** n

    for k, n in [(10, 100), (90, 100), (300, 500), (999, 1000)]:
        s = most_likely(k, n, 10**7)
        up, down = ratio(s, k, n)
        assert up <= down, "it does not rise any more"
        if s > k:
            up, down = ratio(s - 1, k, n)
            assert up >= down, "it rose until here"


@pytest.mark.parametrize(
    "total, queries, distinct",
    [(1000, 1000, 999), (1000, 1000, 1000), (1000, 1000, 1), (10**9, 50, 50), (10**9, 50, 49), (1, 3000, 1), (7, 1, 1)],
)
def test_it_ends(total, queries, distinct):
    found = score_of_counts(distinct, queries, total)
    assert distinct <= found.low <= found.learnt <= found.high <= total


def test_the_interval_covers_the_truth_in_simulated_draws(rng):
    total, learnt, queries = 400, 120, 200
    covered, estimates = 0, []
    for _ in range(80):
        k = len(np.unique(rng.integers(learnt, size=queries)))
        found = score_of_counts(k, queries, total)
        covered += found.low <= learnt <= found.high
        estimates.append(found.learnt)
    assert covered >= 0.85 * 80
    assert np.mean(estimates) == pytest.approx(learnt, rel=0.05)


def test_score_of_features(rng):
    training = rng.normal(size=(50, 8)).astype(np.float32)
    queries = training[rng.integers(10, size=400)] + 1e-3
    found = retrieval_score(training, queries)
    assert (found.distinct, found.learnt, found.value, found.capped) == (10, 10, 0.2, False)
    assert retrieval_score(training, training + 1e-3).capped
    with pytest.raises(LCMemError, match="at least one"):
        retrieval_score(training, queries[:0])
    with pytest.raises(LCMemError, match="cannot be hit"):
        score_of_counts(4, 3, 10)


def independent_frechet(a, b):
    difference = a.mean(0) - b.mean(0)
    one, two = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    return difference @ difference + np.trace(one + two - 2 * sqrtm(one @ two).real)


def test_frechet_distance_equals_an_independent_implementation(rng):
    real = rng.normal(size=(300, 12)) @ rng.normal(size=(12, 12))
    other = rng.normal(size=(200, 12)) @ rng.normal(size=(12, 12)) + 0.3
    assert frechet_distance(real, other) == pytest.approx(independent_frechet(real, other), rel=1e-6)
    known = rng.normal(size=(40_000, 3))
    assert frechet_distance(known, 2 * rng.normal(size=(40_000, 3)) + 1) == pytest.approx(3 + 3, rel=0.03)


def test_frechet_distance_equals_torchmetrics(rng):
    fid = pytest.importorskip("torchmetrics.image.fid")

    class Given(torch.nn.Identity):
        num_features = 40

    for count in (30, 200):  # fewer pictures than features, and more
        real, other = rng.normal(size=(count, 40)), rng.normal(size=(count + 7, 40)) * 1.5
        theirs = fid.FrechetInceptionDistance(Given())
        theirs.update(torch.from_numpy(real), real=True)
        theirs.update(torch.from_numpy(other), real=False)
        assert frechet_distance(real, other) == pytest.approx(float(theirs.compute()), rel=1e-5)


def test_kernel_distance_equals_naive_sums(rng):
    real, other = rng.normal(size=(30, 5)), rng.normal(size=(30, 5)) + 0.5

    def kernel(x, y):
        return (x @ y / 5 + 1) ** 3

    n = len(real)
    within = [sum(kernel(x[i], x[j]) for i in range(n) for j in range(n) if i != j) for x in (real, other)]
    across = sum(kernel(x, y) for x in real for y in other)
    assert kernel_distance(real, other) == pytest.approx(sum(within) / (n * (n - 1)) - 2 * across / n**2)


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
def test_floor_is_where_real_pictures_lie_and_the_interval_covers(distance, rng):
    real, alike, apart = rng.normal(size=(400, 6)), rng.normal(size=(400, 6)), rng.normal(size=(400, 6)) + 0.7
    same, different = (with_floor(real, other, distance) for other in (alike, apart))
    assert same.pictures == 200
    assert same.synthetic.low < same.floor.high and same.floor.low < same.synthetic.high
    assert different.synthetic.low > different.floor.high
    assert different.synthetic.low < different.synthetic.value < different.synthetic.high
    assert with_floor(real, apart, distance) == different, "the same halves each time"
    with pytest.raises(LCMemError, match="at least 4"):
        with_floor(real[:3], apart, distance)

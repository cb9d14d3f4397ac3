"""Claims: metrics equal scikit-learn, weighted or not, and hand-computed cases; intervals cover what they should."""

import numpy as np
import pytest
import torch
from sklearn.metrics import precision_recall_curve, roc_auc_score, roc_curve

from lcmem.encoders.base import psnr
from lcmem.stats.bootstrap import Resampling, interval, measure
from lcmem.stats.reliability import chance_error, reliability
from lcmem.stats.roc import Roc, auc, fnmr_at_fmr, fold_accuracies


@pytest.fixture(params=[1, 6], ids=["ties", "no ties"])
def scored(rng, request):
    same = rng.random(500) < 0.4
    return np.round(rng.normal(size=500) + same, request.param), same


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99, 1.0])
def test_metrics_equal_scikit_learn(scored, share):
    scores, same = scored
    assert auc(scores, same) == pytest.approx(roc_auc_score(same, scores), abs=1e-12)
    false_positive, true_positive, _ = roc_curve(same, scores, drop_intermediate=False)
    expected = 1 - false_positive[true_positive >= share - 1e-9].min()
    assert Roc.of(scores, same).specificity(share) == pytest.approx(expected)
    precision, recall, _ = precision_recall_curve(same, scores)
    assert Roc.of(scores, same).precision(share) == pytest.approx(precision[recall >= share - 1e-9][-1])


def test_weights_equal_scikit_learn_and_repeated_pairs(scored, rng):
    scores, same = scored
    weights = rng.integers(0, 4, (7, len(scores)))
    roc = Roc.of(scores, same, weights)
    expected = [roc_auc_score(same, scores, sample_weight=row) for row in weights]
    np.testing.assert_allclose(roc.auc(), expected, rtol=1e-12)
    repeated = [Roc.of(np.repeat(scores, row), np.repeat(same, row)) for row in weights]
    np.testing.assert_allclose(measure(roc), np.stack([measure(one) for one in repeated], axis=1), rtol=1e-12)
    np.testing.assert_array_equal(measure(Roc.of(scores, same, np.ones((1, 500))))[:, 0], measure(Roc.of(scores, same)))


def test_metrics_by_hand():
    same = np.array([True, True, False, False])
    cases = {
        (4.0, 3.0, 2.0, 1.0): (1, 1, 1),
        (4.0, 1.5, 2.0, 1.0): (0.75, 0.5, 2 / 3),
        (4.0, 2.0, 2.0, 1.0): (0.875, 0.5, 2 / 3),
    }
    for scores, expected in cases.items():
        assert measure(Roc.of(np.array(scores), same)).tolist() == pytest.approx(expected)
    assert measure(Roc.of(np.zeros(4), same)).tolist() == [0.5, 0, 0.5], "all equal"
    for empty in (np.ones(4, dtype=bool), np.zeros(4, dtype=bool)):
        assert np.isnan(measure(Roc.of(np.arange(4.0), empty))).all()
    assert np.isnan(auc(np.empty(0), np.empty(0, dtype=bool)))


def test_fnmr_by_hand():
    genuine, impostors = np.array([5.0, 4, 3, 2]), np.array([4.0, 3, 1, 0])
    assert fnmr_at_fmr(genuine, impostors, 4, 0.25) == 0.5, (
        "one impostor passes at 4, so 3 is refused: 3 and 2 are lost"
    )
    assert fnmr_at_fmr(genuine, impostors, 4, 0.5) == 0
    assert fnmr_at_fmr(genuine, np.array([4.0, 4, 1, 0]), 4, 0.25) == 0.75, "tied impostors are refused together"
    assert np.isnan(fnmr_at_fmr(genuine, impostors, 4, 0.2)) and np.isnan(fnmr_at_fmr(genuine[:0], impostors, 4, 0.5))
    assert fnmr_at_fmr(genuine, np.array([3.0, 4.0]), 4, 0.25) == 0.5, "the highest are enough"


def test_fold_accuracy_uses_the_threshold_of_the_other_folds():
    scores = np.array([3.0, 1.0, 3.0, 1.0, 1.5, 0.5])
    same = np.array([True, False] * 3)
    assert fold_accuracies(scores, same, np.array([0, 0, 1, 1, 2, 2])).tolist() == [1, 1, 0.5]


def test_psnr_by_hand():
    black = torch.zeros(2, 3, 4, 4)
    assert psnr(black + 0.1, black).tolist() == pytest.approx([20, 20], abs=1e-4)


def people(rng, many, photos=4):
    """Scores of pairs of people, some of whom are hard in every pair of theirs."""
    hard = rng.normal(size=many)
    first = np.repeat(np.arange(many), photos * (photos - 1) // 2)
    other = (first + rng.integers(1, many, len(first))) % many
    a, b = np.concatenate((first, first)), np.concatenate((first, other))
    same = a == b
    return 1.5 * same + hard[a] + 0.3 * rng.normal(size=len(a)), a, b, same


def test_intervals_cover_the_truth_where_those_over_pairs_do_not(rng):
    scores, _, _, same = people(rng, 100_000)
    truth, covered, naive = auc(scores, same), 0, 0
    for trial in range(60):
        scores, a, b, same = people(rng, 60)
        drawn = Resampling.draw(a, b, same, replicates=200, seed=trial)
        low, high = interval(drawn.measure(scores)[0])
        covered += low <= truth <= high
        weights = rng.multinomial(len(same), np.full(len(same), 1 / len(same)), size=200)
        low, high = interval(Roc.of(scores, same, weights).auc())
        naive += low <= truth <= high
    assert 52 <= covered <= 60 and naive < 45, (covered, naive)


def test_a_pair_counts_as_often_as_its_identities_are_drawn(rng):
    names = np.array(["x", "y", "z"])
    first, second, same = names[[0, 0, 1]], names[[0, 1, 2]], np.array([True, False, False])
    drawn = Resampling.draw(first, second, same, replicates=50, seed=1)
    x, y, z = drawn.counts.T
    np.testing.assert_array_equal(drawn.weights(drawn.counts), np.stack((x, x * y, y * z), axis=1))
    assert 0.8 < drawn.counts.mean() < 1.2 and 0.7 < drawn.counts.var() < 1.3
    other = Resampling.draw(first[1:], second[1:], same[1:], replicates=50, seed=1)
    assert (other.counts == drawn.counts).all(), "an identity is drawn as often wherever it is met"
    assert (Resampling.draw(first, second, same, replicates=50, seed=2).counts != drawn.counts).any()
    pooled = Resampling.pool([drawn, other])
    expected = np.concatenate([part.weights(part.counts) for part in (drawn, other)], axis=1)
    np.testing.assert_array_equal(pooled.weights(pooled.counts), expected)


def test_no_interval_where_nothing_is_known():
    low, high = interval(np.array([[np.nan, np.nan], [0.5, np.nan]]))
    assert np.isnan(low[0]) and np.isnan(high[0]) and low[1] == high[1] == 0.5


def test_calibration_error_by_hand():
    """Twice as many negatives, so each counts half; ten bins of equal mass."""
    probabilities, same = np.repeat([0.9, 0.2, 0.1], [10, 10, 10]), np.repeat([True, False, False], 10)
    assert reliability(probabilities, same).error == pytest.approx(0.5 * 0.1 + 0.25 * 0.2 + 0.25 * 0.1)
    assert reliability(np.full(30, 0.5), same).error == pytest.approx(0, abs=1e-12)
    assert reliability(np.full(30, 0.8), same).error == pytest.approx(0.3)


def test_honest_probabilities_have_no_calibration_error(rng):
    probabilities = rng.random(40_000)
    same = rng.random(40_000) < probabilities
    found = reliability(probabilities, same)
    np.testing.assert_allclose(found.weight, 0.1, atol=1e-3)
    assert found.error < 0.015 < reliability(probabilities**3, same).error


def test_right_probabilities_show_an_error_where_pairs_are_few(rng):
    """Within what chance explains in 19 of 20 samples; wrong ones lie above it, where there are enough pairs."""
    errors, limits = [], []
    for _ in range(60):
        probabilities = rng.random(60)
        same = rng.random(60) < probabilities
        errors.append(reliability(probabilities, same).error)
        limits.append(chance_error(probabilities, same))
    assert 0.05 < np.median(errors) < np.median(limits) and np.mean(np.array(errors) <= limits) > 0.85
    probabilities = rng.random(4000)
    same = rng.random(4000) < probabilities
    assert reliability(probabilities**2, same).error > chance_error(probabilities**2, same)

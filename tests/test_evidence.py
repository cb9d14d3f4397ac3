"""Claims: p-values are as rare as they say, in the tail too; false discovery rate and grade follow from them."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import gumbel_r, norm, t

from lcmem.matching.grades import graded
from lcmem.stats.chance import Chance
from lcmem.stats.evidence import FEWEST, FURTHEST, q_values, tail_p_values


def independent(scores):
    return Chance(np.asarray(scores, float), np.arange(len(scores)), mutual=False)


def test_p_values_are_counted_up_to_the_highest_chance_match():
    chance = independent(np.arange(99))
    found = tail_p_values(np.array([98, 97.5, 89, -1]), chance)
    assert found == pytest.approx([2 / 100, 2 / 100, 11 / 100, 1])
    mutual = Chance(chance.scores, chance.clusters, mutual=True)
    assert tail_p_values(np.array([97.5, 89]), mutual) == pytest.approx([3 / 100, 12 / 100])


def test_above_it_they_fall_without_a_jump_and_not_below_what_can_be_trusted():
    chance = independent(norm.rvs(size=500, random_state=0))
    highest = chance.scores.max()
    found = tail_p_values(highest + np.array([1e-9, 0.1, 0.3, 1, 50]), chance)
    assert found[0] == pytest.approx(1 / 501) and (np.diff(found) < 0).all()
    assert found[-1] == pytest.approx(1 / 501 / FURTHEST)


@pytest.mark.parametrize("law", [norm, gumbel_r, t(5)])
def test_strangers_have_small_p_values_as_rarely_as_these_say(law):
    """Ten times further out than 200 chance matches can be counted."""
    new = np.sort(law.rvs(size=200_000, random_state=1))[-2000:]
    shares = []
    for seed in range(40):
        p = tail_p_values(new, independent(law.rvs(size=200, random_state=seed)))
        shares.append((p <= 5e-4).sum() / 200_000)
    assert np.mean(shares) <= 2 * 5e-4
    assert np.mean(shares) > 5e-4 / 20, "a p-value that is never small is worth nothing"


@pytest.mark.parametrize("scores", [np.zeros(200), np.r_[np.zeros(150), np.ones(50)], np.arange(2 * FEWEST - 1)])
def test_nothing_is_fitted_to_too_little(scores):
    chance = independent(scores)
    assert tail_p_values(np.array([1e6]), chance)[0] == pytest.approx(1 / (len(scores) + 1))


def test_q_values_are_benjamini_and_hochberg_s():
    assert q_values(np.array([0.01, 0.04, 0.03, 0.5])) == pytest.approx([0.04, 0.16 / 3, 0.16 / 3, 0.5])
    assert len(q_values(np.empty(0))) == 0


def table(scores, verdicts):
    """Two matches for each picture; the copy of the first one scores below its other match."""
    names = np.repeat([f"{k}.png" for k in range(len(scores))], 2)
    logits = np.stack((scores, np.asarray(scores) - 1.0), 1).ravel()
    ranked = np.stack((verdicts, ["no match"] * len(scores)), 1).ravel()
    made = {"synthetic": names, "logit": logits, "rank": [1, 2] * len(scores), "verdict": ranked, "dataset": ""}
    return pd.DataFrame(made).assign(match=ranked != "no match")


def test_close_are_pictures_that_chance_does_not_explain_although_they_do_not_match():
    chance = independent(np.arange(999))
    found = graded(
        table([2000.0, 998.0, 990.5, 500.0], ["copy", "no match", "no match", "no match"]), chance, np.full(4, "")
    )
    first = found[found["rank"] == 1]
    assert first["grade"].tolist() == ["copy", "close", "close", "no match"]
    assert first["p_value"].tolist()[1:] == pytest.approx([2 / 1000, 9 / 1000, 0.5])
    assert (found.groupby("synthetic")[["p_value", "q_value", "grade"]].nunique() == 1).all(axis=None)
    alone = graded(table([990.5] + [500.0] * 99, ["no match"] * 100), chance, np.full(100, ""))
    assert set(alone["grade"]) == {"no match"}, "one in a hundred is as alike by chance"

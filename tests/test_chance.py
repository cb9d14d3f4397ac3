"""Claims: stated rates of chance matches hold on dependent data; thresholds, weights and bounds are what they say."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.stats import binomtest

from lcmem.jobs.scan.threshold import at_most
from lcmem.matching.correlations import WAYS
from lcmem.matching.look_levels import measure_look
from lcmem.stats.calibration import Calibration, calibrate, given_calibration
from lcmem.stats.chance import ROUNDING, Chance, parted
from lcmem.stats.evidence import tail_threshold


def population(rng, people, pictures, spread=0.6):
    """Features ``[people, pictures, 6]``: pictures scatter around their person."""
    return rng.normal(size=(people, 1, 6)) + spread * rng.normal(size=(people, pictures, 6))


def scores(queries, gallery):
    """Best score ``[Q, m]`` of every picture against a set of people, by distance."""
    return -cKDTree(gallery.reshape(-1, 6)).query(queries)[0]


def own(real):
    people, pictures = real.shape[:2]
    flat, person = real.reshape(-1, 6), np.repeat(np.arange(people), pictures)
    near, at = cKDTree(flat).query(flat, pictures + 1)  # of these at least one is of another person
    nearest = np.where(person[at] == person[:, None], np.inf, near).min(1)
    return Chance(-nearest, person, mutual=True)


@pytest.mark.parametrize(("people", "pictures"), [(20, 1), (100, 1), (20, 4), (100, 4)])
@pytest.mark.parametrize("mutual", [True, False])
def test_rates_hold_on_average_and_with_confidence(people, pictures, mutual, rng):
    """Best matches of one set depend on each other: they come in mutual pairs, and all share one gallery."""
    rates, expected, bounds = [], [], []
    for _ in range(300):
        real = population(rng, people, pictures)
        held = np.repeat(np.arange(people), pictures)
        holdout = population(rng, people, pictures)
        chance = own(real) if mutual else Chance(scores(holdout, real).ravel(), held, mutual=False)
        threshold = chance.threshold(0.05)
        rates.append((scores(population(rng, 2000, 1), real) >= threshold).mean())
        expected.append(chance.expected(threshold))
        bounds.append(chance.bound(threshold))
    error = np.std(rates) / np.sqrt(len(rates))
    assert np.mean(rates) <= np.mean(expected) + 2 * error
    assert np.mean(np.array(rates) > bounds) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 300)
    assert np.mean(rates) > np.mean(expected) / 5, "a promise that is kept by saying nothing is worth nothing"


def mixed(rng, people, rare):
    """Pictures of two kinds, one person each: those of the rarer kind lie much closer together."""
    spread = np.repeat([1.0, 0.2], [people - rare, rare])[:, None, None]
    return spread * rng.normal(size=(people, 1, 6)) + 20 * (spread < 1)


def test_of_two_kinds_each_keeps_its_rate(rng):
    """A threshold from all chance matches is exceeded far more often by the rarer kind, whose pictures are alike."""
    alone, together, stated, bounds = [], [], [], []
    kinds = np.repeat(["faces", "scans"], [400, 100])
    for _ in range(60):
        real, new = mixed(rng, 500, 100), mixed(rng, 600, 300)
        chance = parted(own(real), kinds)
        found = calibrate(chance, 0.05, "identities", np.inf, shares={"faces": 0.5, "scans": 0.5})
        best = scores(new, real).ravel()
        rates = (best >= found.thresholds(np.repeat(["faces", "scans"], 300))).reshape(2, 300).mean(1)
        alone.append(rates)
        together.append((best >= replace(chance, parts={}).threshold(0.05)).reshape(2, 300).mean(1))
        stated.append(found.rate)
        bounds.append(found.bound)
    error = np.std(alone, axis=0) / np.sqrt(60)
    assert (np.mean(alone, axis=0) <= 0.05 + 2 * error).all() and np.mean(alone) > 0.02
    assert np.mean(together, axis=0)[1] > 0.15 and np.mean(together, axis=0)[0] < 0.02
    assert np.mean(alone) <= np.mean(stated) + error.max() and max(stated) <= 0.05
    assert np.mean(np.mean(alone, axis=1) > bounds) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 60)


def test_where_one_threshold_must_do_it_is_the_highest_of_all_kinds(rng):
    chance = parted(own(mixed(rng, 500, 100)), np.repeat(["faces", "scans"], [400, 100]))
    found = calibrate(chance, 0.05, "identities", np.inf)
    assert found.logit == max(found.by_kind.values()) == found.by_kind["scans"] > found.by_kind["faces"]
    assert found.rate == chance.parts["scans"].expected(found.logit) and "2 datasets" in found.explanation
    between = (found.by_kind["scans"] + found.by_kind["faces"]) / 2
    blind = calibrate(chance, 0.05, "identities", between)
    assert blind.logit == blind.by_kind["scans"] == np.inf > blind.by_kind["faces"], "no lower one is safe for scans"
    assert blind.rate <= 0.05 and "1 datasets without a threshold" in blind.explanation
    shares = {"faces": 0.9, "scans": 0.1}
    shown = calibrate(chance, 0.05, "identities", between, shares=shares)
    assert shown.logit == shown.by_kind["faces"] and shown.highest == np.inf and shown.rate <= 0.05
    assert shown.thresholds(np.array(["scans", "faces", "else"])).tolist() == [np.inf, shown.logit, np.inf]
    foreign = calibrate(chance, 0.05, "identities", np.inf, shares={"else": 1.0})
    assert foreign.rate == found.rate and "another dataset the highest" in foreign.explanation
    least = given_calibration(found.by_kind["faces"], 0.5, chance)
    assert least.rate == chance.parts["scans"].share(least.logit) and "dataset where most do" in least.explanation
    weighted = given_calibration(found.by_kind["faces"], 0.5, chance, shares)
    each = [chance.parts[kind].share(least.logit) for kind in shares]
    assert weighted.rate == pytest.approx(0.9 * each[0] + 0.1 * each[1]) and weighted.rate < least.rate / 2


def test_kinds_of_few_identities_share_their_chance_matches(rng):
    kinds = np.repeat(["faces", "a", "b"], [400, 12, 15])
    chance = parted(own(mixed(rng, 427, 27)), kinds)
    assert chance.parts["a"] is chance.parts["b"] and chance.parts["a"].identities == 27
    assert [names for names, _ in chance.distinct()] == [["a", "b"], ["faces"]]
    assert chance.parts["faces"].identities == 400
    few = parted(own(mixed(rng, 410, 10)), np.repeat(["faces", "a"], [400, 10]))
    level = calibrate(few, 0.05, "identities", np.inf).by_kind["a"]
    assert level >= replace(few, parts={}).threshold(0.05), "of ten identities alone too little is known"
    assert parted(own(mixed(rng, 38, 19)), np.repeat(["faces", "a"], 19)).parts == {}, "none has enough"
    more = parted(own(mixed(rng, 200, 100)), np.repeat(["a", "b"], 100), growths={"a": 1.0, "b": 3.0})
    assert more.parts["b"].growth == 3 and more.against(2).parts["a"].growth == 2


def test_datasets_that_chance_matches_cross_are_one_kind(rng):
    """Faces of two places are one kind, although a table names two datasets; more identities show a smaller rate."""
    chance, scans = own(mixed(rng, 500, 100)), np.arange(500) >= 400
    mine, theirs = (np.where(scans, "scans", rng.choice(["here", "there"], 500)) for _ in range(2))
    found = parted(chance, theirs, mine)
    assert found.parts["here"] is found.parts["there"] and found.parts["here"].identities == 400
    assert found.parts["scans"].identities == 100
    both = parted(chance, np.where(scans, "here", theirs), np.where(scans, "here", mine))
    assert both.parts == {}, "one kind in all"
    seldom = parted(chance, np.where(rng.random(500) < 0.05, "scans", np.where(scans, "scans", "here")), mine)
    assert seldom.parts["scans"] is not seldom.parts["here"]


def test_mutual_pairs_count():
    """The two highest of leave-one-out scores are one pair: just above them the smallest rate is 2 / (n + 1)."""
    chance = Chance(np.array([3.0, 3.0, 1.0, 0.0]), np.arange(4), mutual=True)
    assert 3 < chance.threshold(0.01) < 3.001
    assert chance.expected(chance.threshold(0.01)) == pytest.approx(2 / 5)
    assert Chance(chance.scores, chance.clusters, mutual=False).expected(3.1) == pytest.approx(1 / 5)
    assert chance.needed(0.01) == 199 and Chance(chance.scores, chance.clusters, False).needed(0.01) == 99


def test_an_identity_counts_once_whatever_its_pictures():
    chance = Chance(np.array([5.0, 5, 5, 5, 1, 2]), np.array([0, 0, 0, 0, 1, 2]), mutual=False)
    assert chance.count(4.0) == 1 and chance.count(2.0) == 2 and chance.share(1.5) == pytest.approx(2 / 3)


def test_the_threshold_is_the_lowest_that_keeps_the_rate(rng):
    chance = Chance(rng.normal(size=400).round(2), rng.integers(100, size=400), mutual=True, growth=1.3)
    threshold = chance.threshold(0.1)
    assert chance.expected(threshold) <= 0.1 < chance.expected(threshold - 2 * ROUNDING * max(abs(threshold), 1))


def test_the_bound_of_independent_pictures_is_clopper_pearson_s():
    chance = Chance(np.arange(50.0), np.arange(50), mutual=False)
    exact = binomtest(3, 50).proportion_ci(0.9, "exact").high  # of two sides: 95 % of one
    assert chance.bound(47.0) == pytest.approx(exact)
    assert chance.bound(-1.0) == 1


def test_no_threshold_above_what_copies_reach():
    chance = Chance(np.linspace(-2, 9, 500), np.arange(500), mutual=True)
    usual = calibrate(chance, 0.01, "identities", highest=9.5)
    assert usual.logit == chance.threshold(0.01) and usual.rate <= 0.01 < usual.bound
    none = calibrate(chance, 0.01, "identities", highest=7.0)
    assert none.logit == np.inf and "cannot tell" in none.explanation and "no score shows" in none.explanation


@pytest.mark.parametrize("draw", [np.random.Generator.normal, np.random.Generator.exponential])
@pytest.mark.parametrize(
    ("people", "pictures", "spread", "mutual"), [(20, 10, 0.5, False), (33, 8, 1.0, True), (100, 1, 0.5, True)]
)
def test_too_few_identities_for_a_rate_raise_the_threshold_as_their_tail_does(
    people, pictures, spread, mutual, draw, rng
):
    """The highest chance match alone lets up to ten times the rate through; pictures of a person depend on another."""
    counted, raised = [], []
    for _ in range(120):
        scores = draw(rng, size=(people, 1)) + spread * draw(rng, size=(people, pictures))
        chance = Chance(scores.ravel(), np.repeat(np.arange(people), pictures), mutual=mutual)
        strangers = (draw(rng, size=(5000, 1)) + spread * draw(rng, size=(5000, 1))).ravel()
        for found, threshold in ((counted, chance.threshold(0.01)), (raised, tail_threshold(chance, 0.01))):
            found.append((strangers >= threshold).mean())
    assert np.mean(raised) < 0.013 and np.mean(raised) <= np.mean(counted)
    assert np.mean(raised) > 0.001, "a threshold that nothing reaches would be no use"
    if people == 20:
        assert np.mean(counted) > 0.013


def test_a_raised_threshold_stays_where_copies_are_found(rng):
    chance = Chance(rng.normal(size=100), np.repeat(np.arange(10), 10), mutual=True)
    counted, free = chance.threshold(0.01), calibrate(chance, 0.01, "identities", highest=99.0)
    assert free.logit == tail_threshold(chance, 0.01) > counted and "tail" in free.explanation
    between = (counted + free.logit) / 2
    assert calibrate(chance, 0.01, "identities", highest=between).logit == between
    assert (free.rate, free.bound) == (chance.expected(counted), chance.bound(counted))


def test_a_given_threshold_comes_with_its_share_of_chance_matches():
    chance = Chance(np.r_[np.zeros(60), np.ones(40)], np.arange(100), mutual=True)
    told = given_calibration(0.5, 0.62, chance)
    assert told.rate == pytest.approx(40 / 99) and "40.4%" in told.explanation and "0.62" in told.explanation
    assert given_calibration(0.5, 0.62, None).rate is None


def test_a_scan_says_what_its_threshold_means_where_an_audit_sets_none():
    chance = Chance(np.arange(40.0), np.arange(40), mutual=False)
    none = calibrate(chance, 0.05, "holdout", highest=29.5)
    found = at_most(none, 29.5, chance, 0.05)
    assert none.logit == np.inf and found.logit == 29.5 and found.rate == 10 / 40 and found.bound > found.rate
    assert "25.0%" in found.explanation and "only copies are reported" not in found.explanation
    set_one = calibrate(chance, 0.05, "holdout", highest=100.0)
    assert at_most(set_one, 100.0, chance, 0.05) is set_one


def test_levels_of_looks_lie_between_strangers_and_copies():
    """One pair in a hundred that is a copy under two names moves nothing; levels stay where copies can be told."""
    looks = np.stack([np.linspace(0.2, 0.86, 99)] * len(WAYS), 1)
    chance = Chance(looks[:, 0], np.arange(99), mutual=True)
    second, share = np.sort(looks[:, 0])[97], 0.5 + 99**-0.5
    usual = second + share * (1 - second)
    look = measure_look(looks, chance)
    assert look.correlations == pytest.approx([usual] * len(WAYS)) and look.expected == pytest.approx(2 / 100)
    dirty = measure_look(np.vstack([looks, looks[:1] * 0 + 0.999]), Chance(np.zeros(100), np.arange(100), mutual=True))
    assert dirty.correlations == pytest.approx([0.86 + 0.6 * 0.14] * len(WAYS)) and dirty.expected > look.expected
    assert set(measure_look(looks / 9, chance).correlations) == {0.9}, "as 0.096 + 0.6 × 0.904 would be too low"
    blind = measure_look(looks * 0 + 0.999, chance)
    assert blind.blind and not blind.hits(looks * 0 + 1).any(), "all look the same, so looks tell nothing"
    high = measure_look(looks * 0 + np.linspace(0.9, 0.9949, 99)[:, None], chance)
    assert set(high.correlations[:-1]) == {0.995} and 0.995 < high.correlations[-1] < 0.999 and not high.blind
    hit = np.vstack([looks[:-1], looks[:1] * 0 + 0.999])
    low, high = (Calibration(level, None, None, "given", "") for level in (0.5, 0.9))
    assert measure_look(hit, chance).beyond(low, {"": 1}) == 0
    assert measure_look(hit, chance).beyond(high, {"faces": 1}) == pytest.approx(1 / 99)


def test_a_rare_kind_that_looks_alike_is_not_matched_by_looks(rng):
    """Of 300 faces and 14 forms less than a twentieth look alike, and yet all forms do."""
    looks = np.vstack([np.full((300, len(WAYS)), 0.5), np.full((30, len(WAYS)), 0.9999)])[:314]
    chance, kinds = Chance(looks[:, 0], np.arange(314), mutual=True), np.repeat(["faces", "forms"], [300, 14])
    together = measure_look(looks, chance)
    assert not together.blind and together.expected < 0.06
    apart = Calibration(0.9, None, None, "identities", "", {"faces": 0.9, "forms": np.inf})
    told = measure_look(looks, chance, kinds=np.where(kinds == "forms", "few", kinds))
    assert told.beyond(
        replace(apart, by_kind={"faces": 0.9, "few": np.inf}), {"faces": 0.5, "few": 0.5}
    ) == pytest.approx(0.5)
    enough = np.vstack([looks, looks[-14:]])
    more = Chance(enough[:, 0], np.arange(328), mutual=True)
    assert measure_look(enough, more, kinds=np.append(kinds, kinds[-14:])).blind, "28 of them are enough to say so"

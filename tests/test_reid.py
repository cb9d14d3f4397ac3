"""Claims: the re-identification benchmark counts what it says, repeats itself anywhere, and survives a bad detector."""

import itertools
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from commands import lcmem
from lcmem.detectors.base import CosineDetector, Detector
from lcmem.detectors.entry import Entry
from lcmem.detectors.registry import REGISTRY
from lcmem.errors import LCMemError
from lcmem.evaluation.reid.all_pairs import Exhaustive, compare_all, count_impostors
from lcmem.evaluation.reid.run import benchmark_reid
from lcmem.evaluation.tables import ranked
from lcmem.pictures.manifest import Manifest
from lcmem.stats.roc import auc

SMALL = {"size": 16, "bootstrap": 20}


class Coarse(CosineDetector):
    """Means of 4×4 tiles, and how many pictures it was given."""

    def __init__(self, name="coarse"):
        self.name, self.fingerprint, self.pictures = name, f"{name}-1", 0

    def embed(self, pictures):
        self.pictures += len(pictures)
        return torch.nn.functional.avg_pool2d(pictures.float(), pictures.shape[-1] // 4).flatten(1) - 128


class NotANumber(Coarse):
    def embed(self, pictures):
        return super().embed(pictures) * float("nan")


class OutOfMemory(Coarse):
    def embed(self, pictures):
        return torch.empty(1 << 50)


class Defective(Coarse):
    def embed(self, pictures):
        raise ValueError("no such layer")


class Table(Detector):
    """Looks scores up."""

    name, fingerprint = "table", ""

    def __init__(self, scores):
        self.scores = torch.from_numpy(scores)

    def embed(self, pictures):
        raise NotImplementedError

    def similarity(self, u, v):
        return self.scores[u[:, 0], v[:, 0]]

    def similarities(self, u, v):
        return self.scores[u[:, :1], v[:, 0]]


@pytest.fixture
def register(monkeypatch):
    def add(detector):
        entry = Entry(detector.name.title(), "copy", "test", "none", None, "none", lambda _: detector)
        monkeypatch.setitem(REGISTRY, detector.name, entry)
        return detector

    return add


@pytest.fixture
def four_each(orl):
    """Four faces of each of the 40 people."""
    return orl.rows(
        [row for row, path in enumerate(orl.paths) if path[-6:] in ("/1.pgm", "/2.pgm", "/3.pgm", "/4.pgm")]
    )


@pytest.fixture
def tree(orl, tmp_path):
    """Faces of six people, four of each, in a folder of its own."""
    for path in orl.paths[: 6 * 10]:
        person, name = path.split("/")[-2:]
        if int(name.partition(".")[0]) <= 4:
            (tmp_path / "tree" / person).mkdir(parents=True, exist_ok=True)
            shutil.copy(path, tmp_path / "tree" / person)
    return tmp_path / "tree"


def test_faces_the_model_never_saw(four_each, tmp_path):
    table = benchmark_reid(four_each, ["ncc", "compact"], tmp_path, bootstrap=200)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "reid.csv"), table, atol=1e-5, check_dtype=False)
    rows = table[table["dataset"] == "micro"].set_index("detector")
    assert (rows["n_positive"] == 40 * 6).all() and (rows["n_negative"] == 40 * 6).all()
    assert (rows["n_impostor"] == 160 * 159 / 2 - 40 * 6).all() and (rows["n_identities"] == 40).all()
    assert rows.loc["compact", "auc"] > rows.loc["ncc", "auc"]
    for name in ("auc", "specificity_at_99_sensitivity", "precision_at_99_recall"):
        low, high = rows[f"{name}_low"], rows[f"{name}_high"]
        assert ((low < rows[name]) & ((rows[name] < high) | (rows[name] == 1))).all(), "above 1 there is nothing"
    text = (tmp_path / "reid.md").read_text(encoding="utf-8")
    assert "Protocol `fixed`" in text and f"**{rows['auc'].max():.3f}**" in text and "160 pictures at 256×256" in text
    assert text.index("*Pixel-wise*") < text.index("| NCC") < text.index("*LCMem")
    assert 0 <= rows.loc["compact", "ece"] <= 1 and np.isnan(rows.loc["ncc", "ece"])
    assert Image.open(tmp_path / "reliability.png").width > 200
    assert Image.open(tmp_path / "reid.png").width > 300 and "</svg>" in (tmp_path / "reid.svg").read_text()


def test_a_detector_of_ones_own_stands_where_a_name_can(tree, tmp_path):
    table = benchmark_reid(Manifest.read(tree), ["mse", Coarse("mine")], tmp_path / "out", **SMALL)
    assert set(table["detector"]) == {"mse", "mine"} and set(table["status"]) == {"ok"}


def naive(scores, identities):
    """FMR counts, FNMR, MAP@R and precision at 1 by the book."""
    many = range(len(identities))
    pairs = list(itertools.combinations(many, 2))
    genuine = [scores[i, j] for i, j in pairs if identities[i] == identities[j]]
    impostor = np.array([scores[i, j] for i, j in pairs if identities[i] != identities[j]])
    precision, first = [], []
    for query in many:
        wanted = sum(identities == identities[query]) - 1
        if wanted:
            others = [k for k in many if k != query]
            order = sorted(others, key=lambda k: (-scores[query, k], identities[k] == identities[query]))
            right = [identities[k] == identities[query] for k in order]
            precision.append(sum(np.mean(right[: i + 1]) for i in range(wanted) if right[i]) / wanted)
            first.append(right[0])
    return np.sort(genuine), impostor, precision, first


@pytest.mark.parametrize("decimals", [1, 6], ids=["ties", "no ties"])
def test_every_pair_equals_a_naive_loop(rng, decimals, monkeypatch):
    monkeypatch.setattr("lcmem.evaluation.reid.all_pairs.ROWS", 7)
    identities = np.array([f"p{k}" for k in rng.integers(0, 9, 40)] + ["alone"], dtype=object)
    scores = rng.normal(size=(41, 41)) + (identities[:, None] == identities)
    scores = np.round(scores + scores.T, decimals)
    found = compare_all(Table(scores), torch.arange(41)[:, None], identities, 20, "d")
    genuine, impostor, precision, first = naive(scores, identities)
    np.testing.assert_array_equal(np.sort(found.genuine), genuine)
    np.testing.assert_array_equal(np.sort(found.impostors), np.sort(impostor)[-20:])
    assert found.n_impostor == len(impostor) == count_impostors(identities)
    np.testing.assert_allclose(found.average_precision, precision)
    assert found.found_first.tolist() == first
    numbers = Exhaustive.pool([found, found]).measure()
    assert numbers["map_at_r"] == pytest.approx(np.mean(precision)) and numbers["n_impostor"] == 2 * len(impostor)
    both = np.concatenate((impostor, impostor))
    passing = [level for level in np.unique(genuine) if (both >= level).mean() <= 1e-3]
    refused = 1 - np.mean(genuine >= min(passing)) if passing else 1
    assert numbers["fnmr_at_fmr_1e-3"] == pytest.approx(refused) and np.isnan(numbers["fnmr_at_fmr_1e-4"])


def test_macro_is_the_mean_and_micro_takes_all_pairs(four_each, register, tmp_path):
    register(Coarse())
    table = four_each.table.assign(dataset=np.where(four_each.table["identity"] < "s2", "b", "a"))
    table.loc[table["path"].str.endswith("s1/1.pgm"), ["dataset", "identity"]] = ["nobody's", ""]
    found = benchmark_reid(Manifest(table), ["coarse", "mse"], tmp_path / "out", **SMALL)
    assert found["dataset"].tolist() == ["a", "a", "b", "b", "macro", "macro", "micro", "micro"]
    part = found[found["detector"] == "coarse"].set_index("dataset")
    for name in ("auc", "specificity_at_99_sensitivity", "map_at_r", "precision_at_1"):
        assert part.loc["macro", name] == pytest.approx(part.loc["a", name]), "11 people are too few to count"
    assert part.loc["micro", "n_impostor"] == part.loc["a", "n_impostor"] + part.loc["b", "n_impostor"]
    weights = table["dataset"].value_counts()[["a", "b"]]
    assert part.loc["micro", "map_at_r"] == pytest.approx(np.average(part.loc[["a", "b"], "map_at_r"], weights=weights))
    assert part["in_macro"].to_dict() == {"a": True, "b": False, "macro": False, "micro": False}
    text = (tmp_path / "out" / "reid.md").read_text()
    assert "left out: nobody's." in text and "identities with two or more pictures): b." in text
    listed = pd.read_csv(tmp_path / "out" / "pairs.csv")
    flat = {"/".join(path.split("/")[-2:]): Coarse().embed(picture(path, 16)) for path in table["path"]}
    scores = [float(Coarse().similarity(flat[row.path_a], flat[row.path_b])) for row in listed.itertuples()]
    assert part.loc["micro", "auc"] == pytest.approx(auc(np.array(scores), listed["same"].to_numpy()), abs=1e-4)
    genuine, impostors = [], []
    for name in ("a", "b"):
        names = ["/".join(path.split("/")[-2:]) for path in table["path"][table["dataset"] == name]]
        for one, other in itertools.combinations(names, 2):
            same = one.split("/")[0] == other.split("/")[0]
            (genuine if same else impostors).append(float(Coarse().similarity(flat[one], flat[other])))
    refused = np.sort(impostors)[::-1][len(impostors) // 1000]
    assert len(impostors) == part.loc["micro", "n_impostor"] > 6000
    assert part.loc["micro", "fnmr_at_fmr_1e-3"] == pytest.approx((np.array(genuine) <= refused).mean(), abs=0.01)


def picture(path, size):
    from lcmem.pictures.image import load_levels

    return torch.from_numpy(load_levels(path, size))[None]


def test_a_bad_detector_is_reported_and_the_others_finish(tree, register, tmp_path):
    register(Coarse()), register(NotANumber("hollow")), register(OutOfMemory("greedy")), register(Defective("broken"))
    names = ["hollow", "greedy", "broken", f"mine={tmp_path / 'nowhere'}", "coarse"]
    found = benchmark_reid(Manifest.read(tree), names, tmp_path / "out", **SMALL)
    found = found[found["dataset"] == "tree"].set_index("detector")
    for name, reason in (
        ("hollow", "not finite"),
        ("greedy", "memory"),
        ("broken", "ValueError: no such"),
        ("mine", "no such checkpoint"),
    ):
        assert reason in found.loc[name, "status"] and np.isnan(found.loc[name, "auc"]), found["status"]
        assert f"Not measured: {name.title() if name != 'mine' else name}" in (tmp_path / "out/reid.md").read_text()
    assert found.loc["coarse", "status"] == "ok" and found.loc["coarse", "auc"] > 0.5
    with pytest.raises(LCMemError, match="two detectors are called 'coarse'"):
        benchmark_reid(Manifest.read(tree), ["coarse", "coarse"], tmp_path / "out", **SMALL)


def test_only_new_detectors_and_changed_pictures_are_embedded(tree, register, tmp_path):
    first, second = register(Coarse()), register(Coarse("other"))
    manifest, out = Manifest.read(tree), tmp_path / "out"
    once = benchmark_reid(manifest, ["coarse"], out, **SMALL)
    again = benchmark_reid(manifest, ["coarse"], out, **SMALL)
    assert first.pictures == 24
    pd.testing.assert_frame_equal(once, again)
    benchmark_reid(manifest, ["coarse", "other"], out, **SMALL)
    assert (first.pictures, second.pictures) == (24, 24)
    shutil.copy(tree / "s1" / "1.pgm", tree / "s1" / "2.pgm")
    benchmark_reid(manifest, ["coarse"], out, **SMALL)
    assert first.pictures == 24, "another file with a known content"
    Image.effect_noise((92, 112), 90).save(tree / "s1" / "2.pgm")
    changed = benchmark_reid(manifest, ["coarse"], out, **SMALL)
    assert first.pictures == 25 and changed["auc"].iloc[0] != once["auc"].iloc[0]


def test_pairs_are_the_same_wherever_the_pictures_lie_and_can_be_given_again(tree, register, tmp_path):
    register(Coarse())
    shutil.copytree(tree, tmp_path / "another" / "place" / "tree")
    tables = [
        benchmark_reid(Manifest.read(folder), ["coarse"], tmp_path / f"out{k}", **SMALL)
        for k, folder in enumerate((tree, tmp_path / "another" / "place" / "tree"))
    ]
    first, second = ((tmp_path / f"out{k}" / "pairs.csv").read_bytes() for k in (0, 1))
    assert first == second and b"tree,s1/1.pgm,s1/2.pgm,True" in first
    pd.testing.assert_frame_equal(*tables)
    given = tmp_path / "out0" / "pairs.csv"
    repeated = benchmark_reid(Manifest.read(tree), ["coarse"], tmp_path / "out2", pairs=given, **SMALL)
    assert repeated["auc"].tolist() == tables[0]["auc"].tolist() and set(repeated["protocol"]) == {"list"}
    assert (tmp_path / "out2" / "pairs.csv").read_bytes() == first
    given.write_text("path_a,path_b,same\ns1/1.pgm,s1/nobody.pgm,True\n")
    with pytest.raises(LCMemError, match=r"1 pictures are not in the manifest, or unreadable, such as s1/nobody\.pgm"):
        benchmark_reid(Manifest.read(tree), ["coarse"], tmp_path / "out2", pairs=given, **SMALL)
    given.write_text("path_a,path_b,same\n1.pgm,2.pgm,True\n")
    with pytest.raises(LCMemError, match=r"6 pictures of the manifest end with 1\.pgm"):
        benchmark_reid(Manifest.read(tree), ["coarse"], tmp_path / "out2", pairs=given, **SMALL)


def test_the_paper_protocol_takes_first_pictures_and_says_so(tree, register, tmp_path):
    register(Coarse())
    found = benchmark_reid(Manifest.read(tree), ["coarse"], tmp_path, protocol="paper", **SMALL)
    negatives = pd.read_csv(tmp_path / "pairs.csv").query("not same")
    assert set(negatives["path_b"].str.partition("/")[2]) == {"1.pgm"} and negatives["path_a"].nunique() > 6
    assert set(found["protocol"]) == {"paper"} and "Protocol `paper`" in (tmp_path / "reid.md").read_text()
    with pytest.raises(LCMemError, match="unknown protocol 'papers'"):
        benchmark_reid(Manifest.read(tree), ["coarse"], tmp_path, protocol="papers")


@pytest.fixture
def lfw(tree, tmp_path):
    """The faces in LFW's layout, with an official list of two folds of six pairs each kind."""
    people = sorted(folder.name for folder in tree.iterdir())
    for person, number in itertools.product(people, (1, 2, 3, 4)):
        name = f"Mr_{person}"
        (tmp_path / "lfw" / name).mkdir(parents=True, exist_ok=True)
        Image.open(tree / person / f"{number}.pgm").save(tmp_path / "lfw" / name / f"{name}_{number:04d}.jpg")
    lines = ["2\t6"]
    for fold in (0, 2):
        lines += [f"Mr_{person}\t{1 + fold}\t{2 + fold}" for person in people]
        lines += [f"Mr_{a}\t{1 + fold}\tMr_{b}\t{2 + fold}" for a, b in itertools.pairwise([*people, people[0]])]
    (tmp_path / "pairs.txt").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_official_protocol_of_lfw(lfw, register):
    from lcmem.datasets import read_dataset

    coarse = register(Coarse())
    manifest = read_dataset("lfw", lfw)
    found = benchmark_reid(manifest, ["coarse"], lfw / "out", pairs=lfw / "pairs.txt", **SMALL).iloc[0]
    assert (found["n_positive"], found["n_negative"], found["protocol"], coarse.pictures) == (12, 12, "lfw", 24)
    listed = pd.read_csv(lfw / "out" / "pairs.csv")
    assert listed["fold"].tolist() == [0] * 12 + [1] * 12 and listed["same"].tolist() == ([True] * 6 + [False] * 6) * 2
    flat = {path: Coarse().embed(picture(next(lfw.glob(f"lfw/{path}")), 16)) for path in listed["path_a"]}
    flat |= {path: Coarse().embed(picture(next(lfw.glob(f"lfw/{path}")), 16)) for path in listed["path_b"]}
    scores = np.array(
        [float(Coarse().similarity(flat[a], flat[b])) for a, b in listed[["path_a", "path_b"]].to_numpy()]
    )
    same, fold, shares = listed["same"].to_numpy(), listed["fold"].to_numpy(), []
    for k in (0, 1):
        levels = np.sort(scores[fold != k])
        middles = [np.inf, *((levels[1:] + levels[:-1]) / 2)[::-1], -np.inf]
        right = [((scores > level) == same)[fold != k].mean() for level in middles]
        shares.append(((scores > middles[int(np.argmax(right))]) == same)[fold == k].mean())
    assert found["accuracy"] == pytest.approx(np.mean(shares))
    assert found["accuracy_se"] == pytest.approx(abs(shares[0] - shares[1]) / 2)
    assert np.isnan(found["map_at_r"]) and found["n_impostor"] == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Mr_s1 1 2\n", "the first line"),
        ("1\t1\nMr_s1\t1\t2\n", "1 pairs, but its first line says"),
        ("1\t1\nMr_s1\t1\t2\nMr_s1\tMr_s2\t2\n", "not a pair of pictures"),
    ],
)
def test_a_damaged_list_is_refused(tree, tmp_path, text, message):
    (tmp_path / "pairs.txt").write_text(text)
    with pytest.raises(LCMemError, match=message):
        benchmark_reid(Manifest.read(tree), ["mse"], tmp_path / "out", pairs=tmp_path / "pairs.txt", **SMALL)


def test_command(tree, tmp_path):
    table = Manifest.read(tree).table
    Manifest(table.assign(split=np.where(table["identity"] < "s13", "test", "train"))).write(tmp_path / "m.csv")
    options = ["--size", "16", "--bootstrap", "20", "--out", str(tmp_path / "out")]
    command = ["benchmark", "reid", "--data", str(tmp_path / "m.csv")]
    done = lcmem(*command, "--detectors", "mse", *options)
    assert done.returncode == 0, done.stderr
    assert "protocol fixed, split test" in done.stdout and "…" not in done.stdout, "80 columns are enough"
    assert "macro" not in done.stdout, "of one dataset"
    assert {"reid.csv", "reid.md", "reid.png", "reid.svg", "pairs.csv"} <= {
        path.name for path in (tmp_path / "out").iterdir()
    }
    used = {path.partition("/")[0] for path in pd.read_csv(tmp_path / "out" / "pairs.csv")["path_a"]}
    assert used and all(person < "s13" for person in used)
    assert lcmem(*command, "--detectors", "mse,absent", *options).returncode == 1


def test_nothing_to_measure(tmp_path, save_noise):
    for name in ("s/a/1.png", "s/b/2.png"):
        save_noise(name)
    with pytest.raises(LCMemError, match="no identity has two pictures"):
        benchmark_reid(Manifest.read(tmp_path / "s"), ["mse"], tmp_path / "out")


def test_best_is_bold_and_second_underlined():
    assert ranked([0.5, 0.9, float("nan"), 0.9, 0.7]) == ["0.500", "**0.900**", "–", "**0.900**", "<u>0.700</u>"]

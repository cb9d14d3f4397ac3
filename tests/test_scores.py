"""Claim: the same pair gets the same score in score, compare and audit, at any batch size and number of threads."""

import csv
import math
import re

import numpy as np
import pytest
import torch

from commands import lcmem

TOLERANCE = 1e-5


@pytest.fixture
def pictures(faces):
    return [str(faces / f"s{1 + k // 4}" / f"{1 + k % 4}.pgm") for k in range(64)]


@pytest.fixture
def one_thread():
    """Several share the sums in other ways from one size of a batch to the next: logits differ by 3e-5 then."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_batch_size_does_not_change_features(bundled, pictures, one_thread):
    together = bundled.features(pictures, batch_size=64)
    alone = bundled.features(pictures, batch_size=1)
    odd = bundled.features(pictures[::-1], batch_size=7).flip(0)
    assert (together - alone).abs().max() < TOLERANCE and (together - odd).abs().max() < TOLERANCE
    logits = [bundled.logits(u[0], u[1:]) for u in (together, alone, odd)]
    assert (logits[0] - logits[1]).abs().max() < TOLERANCE and (logits[0] - logits[2]).abs().max() < TOLERANCE


def test_batch_size_does_not_change_probabilities_on_any_number_of_threads(bundled, pictures):
    together, alone = (bundled.features(pictures, batch_size=size) for size in (64, 1))
    one, two = (torch.sigmoid(bundled.logits(u[0], u[1:])) for u in (together, alone))
    assert (one - two).abs().max() < TOLERANCE


def test_threads_do_not_change_scores(bundled, pictures):
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        single = bundled.score(pictures[0], pictures[1:8])
    finally:
        torch.set_num_threads(threads)
    assert (single - bundled.score(pictures[0], pictures[1:8])).abs().max() < TOLERANCE


def test_a_picture_is_closest_to_itself_and_scores_are_symmetric(bundled, pictures):
    own = bundled.score(pictures[0], pictures[0])
    assert own == pytest.approx(bundled.bias.item(), abs=TOLERANCE)
    others = bundled.score(pictures[0], pictures[1:])
    assert (others <= own + TOLERANCE).all()
    assert bundled.score(pictures[1], pictures[0]) == pytest.approx(others[0].item(), abs=TOLERANCE)


def test_score_compare_and_python_agree(tmp_path, bundled, pictures):
    rows = [(pictures[0], b, f"note {k}") for k, b in enumerate(pictures[1:6])]
    with open(tmp_path / "pairs.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([("path_a", "path_b", "note"), *rows, (pictures[0], "absent.png", "bad")])
    done = lcmem("score", tmp_path / "pairs.csv", "--workers", "0")
    assert done.returncode == 0 and "5 pairs scored" in done.stdout and "absent.png" in done.stderr
    with open(tmp_path / "pairs.scored.csv", newline="") as file:
        scored = list(csv.DictReader(file))
    assert [row["note"] for row in scored] == [*(row[2] for row in rows), "bad"]
    assert scored[-1]["logit"] == ""
    for row in scored[:-1]:
        logit = float(row["logit"])
        assert logit == pytest.approx(bundled.score(row["path_a"], row["path_b"]), abs=TOLERANCE)
        assert float(row["probability"]) == pytest.approx(1 / (1 + math.exp(-logit)), abs=1e-9)
        done = lcmem("compare", row["path_a"], row["path_b"])
        assert done.returncode == 0 and float(re.search(r"logit (\S+)", done.stdout).group(1)) == pytest.approx(
            logit, abs=TOLERANCE
        )


def test_missing_column(tmp_path):
    (tmp_path / "pairs.csv").write_text("left,path_b\na.png,b.png\n")
    done = lcmem("score", tmp_path / "pairs.csv")
    assert done.returncode == 1 and "no column 'path_a'" in done.stderr and "pairs.csv" in done.stderr


def test_unreadable_picture(tmp_path):
    (tmp_path / "a.png").write_text("text")
    done = lcmem("compare", tmp_path / "a.png", tmp_path / "a.png")
    assert done.returncode == 1 and "a.png" in done.stderr and "Traceback" not in done.stderr


def test_a_list_of_the_benchmark_is_scored_where_its_pictures_are_named(tmp_path, faces):
    from lcmem.pairs import Pairs, write_pairs
    from lcmem.pictures.manifest import Manifest

    paths = [str(faces / person / name) for person in ("s1", "s2") for name in ("1.pgm", "2.pgm")]
    manifest = Manifest.read(faces)
    manifest = Manifest(manifest.table[manifest.table["path"].isin(paths)].reset_index(drop=True))
    manifest.write(tmp_path / "manifest.csv")
    write_pairs(manifest, Pairs(*np.array([[0, 0], [1, 2]]), np.array([True, False])), tmp_path / "pairs.csv")
    done = lcmem("score", tmp_path / "pairs.csv", "--workers", "0")
    assert done.returncode == 1 and "--data MANIFEST" in done.stderr
    options = ["--data", tmp_path / "manifest.csv", "--workers", "0"]
    done = lcmem("score", tmp_path / "pairs.csv", *options)
    assert done.returncode == 0 and "2 pairs scored" in done.stdout


def test_every_cell_stays_as_it_was(tmp_path, pictures):
    (tmp_path / "pairs.tsv").write_text(
        "path_a\tpath_b\tid\tnote\n" + f"{pictures[0]}\t{pictures[1]}\t007\tNA\n{pictures[0]}\t{pictures[2]}\t\t 1.0 \n"
    )
    done = lcmem("score", tmp_path / "pairs.tsv", "--workers", "0")
    assert done.returncode == 0 and "pairs.scored.csv" in done.stdout
    with open(tmp_path / "pairs.scored.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["id"], row["note"]) for row in rows] == [("007", "NA"), ("", " 1.0 ")]


def test_scores_never_replace_a_column_or_an_input(tmp_path, pictures):
    table = tmp_path / "pairs.csv"
    table.write_text(f"path_a,path_b,logit\n{pictures[0]},{pictures[1]},mine\n")
    done = lcmem("score", table)
    assert done.returncode == 1 and "column 'logit' would be replaced" in done.stderr
    before = table.read_text()
    done = lcmem("score", table, "--out", table)
    assert done.returncode == 1 and "is the input pairs" in done.stderr and table.read_text() == before
    done = lcmem("score", table, "--out", pictures[0])
    assert done.returncode == 1 and ".csv or .parquet" in done.stderr


def test_a_pair_of_one_picture_is_named(tmp_path, pictures):
    table = tmp_path / "pairs.csv"
    table.write_text(f"path_a,path_b\n{pictures[0]},{pictures[1]}\n{pictures[0]}, \n")
    done = lcmem("score", table)
    assert done.returncode == 1 and "row 2 names one picture only" in done.stderr

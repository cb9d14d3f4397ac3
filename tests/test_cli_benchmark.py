"""Claims: a benchmark finds what is wrong before it reads pictures, and knows whose pictures they are."""

import pandas as pd
import pytest

from commands import lcmem


@pytest.mark.parametrize("command", ["reid", "copy", "one-vs-all", "audit", "speed"])
def test_a_typo_is_found_before_the_data_are_read(command, tmp_path):
    data = [] if command == "speed" else ["--data", tmp_path / "nowhere.csv"]
    done = lcmem("benchmark", command, *data, "--detectors", "mse,phsh", "--out", tmp_path / "out")
    assert done.returncode == 1 and "did you mean phash?" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.fixture
def xrays(save_noise, tmp_path):
    for person in range(4):
        save_noise(f"xrays/{person:03d}_a.png"), save_noise(f"xrays/{person:03d}_b.png")
    return tmp_path / "xrays"


def test_identities_from_names(xrays, tmp_path):
    options = ["--detectors", "mse", "--bootstrap", 10, "--size", 32, "--out", tmp_path / "out"]
    done = lcmem("benchmark", "reid", "--data", xrays, *options, "--identity-pattern", "([0-9]+)_")
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(tmp_path / "out" / "reid.csv")
    assert table["n_identities"].iloc[0] == 4 and table["n_positive"].iloc[0] == 4


def test_a_table_without_identities_is_said_loudly(xrays, tmp_path):
    pd.DataFrame({"path": sorted(map(str, xrays.iterdir())), "patient": list("aabbccdd")}).to_csv(tmp_path / "t.csv")
    options = ["--data", tmp_path / "t.csv", "--detectors", "mse", "--size", 32, "--out", tmp_path / "out"]
    assert "--identity-column patient would give 4 identities" in lcmem("benchmark", "one-vs-all", *options).stderr
    done = lcmem("benchmark", "reid", *options, "--identity-column", "patient", "--bootstrap", 10)
    assert done.returncode == 0 and "identities unknown" not in done.stderr

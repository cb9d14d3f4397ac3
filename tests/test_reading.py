"""Claims: a table may lie elsewhere than its pictures, for every command; nothing names a folder of this machine."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from commands import lcmem

pytestmark = pytest.mark.usefixtures("encoded_once")

COMMANDS = {
    "audit": ["audit", "{table}", "{table}"],
    "scan": ["scan", "{table}"],
    "duplicates": ["duplicates", "{table}", "--out", "{out}.csv"],
    "filter": ["filter", "{table}", "--against", "{table}"],
    "compare": ["compare", "a.png", "b.png", "--against", "{table}"],
    "index": ["index", "{table}"],
    "check": ["check", "{table}"],
    "manifest": ["manifest", "{table}"],
    "metrics": ["metrics", "{table}", "{table}"],
    "encode": ["encode", "{table}"],
    "train": ["train", "small", "--data", "{table}"],
    "reid": ["benchmark", "reid", "--data", "{table}"],
    "autoencoder": ["benchmark", "autoencoder", "--data", "{table}"],
}


@pytest.fixture
def elsewhere(tmp_path, orl):
    """A table, and the folder of 16 faces that its paths start at; the last one is cut off."""
    for number, path in enumerate(orl.paths[:16]):
        Image.open(path).save(tmp_path / f"{number}.png")
    (tmp_path / "pictures").mkdir()
    for path in tmp_path.glob("*.png"):
        path.rename(tmp_path / "pictures" / path.name)
    broken = tmp_path / "pictures" / "15.png"
    broken.write_bytes(broken.read_bytes()[:200])
    (tmp_path / "lists").mkdir()
    table = pd.DataFrame({"path": [f"{k}.png" for k in range(16)], "patient": [f"p{k % 8}" for k in range(16)]})
    table.to_csv(tmp_path / "lists" / "real.csv", index=False)
    return tmp_path / "lists" / "real.csv", tmp_path / "pictures"


@pytest.mark.parametrize("command", COMMANDS)
def test_one_message_where_the_pictures_are_not_there(elsewhere, tmp_path, command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = [each.format(table=elsewhere[0], out="x") for each in COMMANDS[command]]
    done = lcmem(*arguments)
    remarks = [line for line in done.stderr.splitlines() if "same pictures" not in line]
    assert done.returncode == 1 and len(remarks) == 1, done.stderr
    assert "none of the 16 listed pictures is there" in done.stderr and "--root FOLDER" in done.stderr
    (tmp_path / "nowhere").mkdir()
    done = lcmem(*arguments, "--root", tmp_path / "nowhere")
    assert done.returncode == 1 and f"for example {tmp_path}/nowhere/0.png" in done.stderr, "the option is taken"


def test_an_audit_with_a_root(elsewhere, weights, tmp_path):
    table, root = elsewhere
    words = ["audit", table, table, "--root", root, "--identity-column", "patient", "--model", weights]
    done = lcmem(*words, "--out", tmp_path / "o")
    assert done.returncode == 0, done.stderr
    skipped = pd.read_csv(tmp_path / "o" / "skipped.csv")
    assert list(skipped["set"]) == ["real", "synthetic"]
    assert all(reason.startswith("15.png: not a readable picture") for reason in skipped["reason"]), skipped
    assert set(pd.read_csv(tmp_path / "o" / "matches.csv")["identity"]) <= {f"p{k}" for k in range(8)}


def test_sixteen_bit_pictures_against_their_eight_bit_twins(orl, weights, tmp_path):
    """Alone, the dim real ones would be taken for 12 bits: they would look as if exposed sixteen times as long."""
    for name in ("real", "synthetic"):
        (tmp_path / name).mkdir()
    for number, path in enumerate(orl.paths[:24]):
        levels = np.asarray(Image.open(path)).astype(np.uint16) * 15
        Image.fromarray(levels).save(tmp_path / "real" / f"{number}.png")
        if number % 3 == 0:
            Image.fromarray((levels >> 8).astype(np.uint8)).save(tmp_path / "synthetic" / f"{number}.png")
    sets = tmp_path / "real", tmp_path / "synthetic"
    done = lcmem("audit", *sets, "--model", weights, "--out", tmp_path / "o")
    assert done.returncode == 0 and "read as 16 bits" in done.stderr
    best = pd.read_csv(tmp_path / "o" / "matches.csv").query("rank == 1")
    assert (best["synthetic"].str.extract(r"(\d+)\.png")[0] == best["real"].str.extract(r"(\d+)\.png")[0]).all()

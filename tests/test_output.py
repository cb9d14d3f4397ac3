"""Claims: no command writes into its inputs, over other files or over results of other pictures; it says so at once."""

import json
import os

import pytest

import lcmem
from commands import lcmem as lcmem_command
from lcmem import locks
from lcmem.atlas import Atlas
from lcmem.errors import LCMemError
from lcmem.jobs.output import MARK, claim_file, claim_output, claim_store
from lcmem.pictures.manifest import Manifest


@pytest.fixture
def sets(save_noise, tmp_path, monkeypatch):
    for name in ("real/ann/1.png", "real/bob/1.png", "synthetic/1.png", "other/1.png"):
        save_noise(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


COMMANDS = {
    "audit": ["audit", "real", "synthetic"],
    "scan": ["scan", "synthetic", "real"],
    "index": ["index", "real"],
    "duplicates": ["duplicates", "real"],
    "encode": ["encode", "real"],
    "reid": ["benchmark", "reid", "--data", "real"],
    "copy": ["benchmark", "copy", "--data", "real"],
}


def refused(arguments):
    """Why a command line is refused."""
    done = lcmem_command(*arguments)
    assert done.returncode == 1, done.stdout
    return done.stderr.removeprefix("lcmem: ").rstrip()


def claimed(*given):
    """A folder that was claimed and let go of."""
    with claim_output(*given) as out:
        return out


def everything(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("out", ["real", "real/results"])
def test_nothing_is_written_into_an_input(sets, command, out):
    if command == "duplicates":
        if out == "real/results":
            return  # a table is no picture, it may lie among them
        message = "name a .csv or .parquet file"
    else:
        message = "among its pictures"
    before = everything(sets)
    assert message in refused([*COMMANDS[command], "--out", out])
    assert everything(sets) == before


@pytest.mark.parametrize("command", ["audit", "scan", "index", "encode", "reid", "copy"])
@pytest.mark.parametrize("there", [True, False])
def test_a_file_is_no_folder_for_results(sets, command, there):
    if there:
        (sets / "file.csv").write_text("mine")
    arguments = [word.replace("real", "nowhere") for word in COMMANDS[command]]  # refused before these are looked for
    assert "a folder is needed" in refused([*arguments, "--out", "file.csv"])
    if there:
        assert (sets / "file.csv").read_text() == "mine"
        assert "is a file" in refused([*arguments, "--out", "file.csv/results"])


def test_a_table_never_replaces_its_input(sets):
    (sets / "m.csv").write_text("path\nreal/ann/1.png\n")
    assert "would be lost" in refused(["duplicates", "m.csv", "--out", "./m.csv"])
    assert (sets / "m.csv").read_text().startswith("path")
    with pytest.raises(LCMemError, match=r"name a \.csv"):
        claim_file("results", {})


@pytest.mark.parametrize("command", ["audit", "scan", "index", "encode", "reid"])
def test_other_files_are_left_alone(sets, command):
    (sets / "thesis").mkdir()
    (sets / "thesis" / "chapter.tex").write_text("mine")
    assert "holds other files" in refused([*COMMANDS[command], "--out", "thesis"])
    assert os.listdir("thesis") == ["chapter.tex"]


def test_results_are_replaced_by_those_of_the_same_inputs_only(sets):
    out = claimed("out", "audit", {"real": "real", "synthetic": "synthetic", "holdout": None})
    (out / "summary.json").write_text("{}")
    again = {"real": Manifest.read("real"), "synthetic": sets / "synthetic"}
    assert claimed("out", "audit", again) == out, "the same pictures under other words"
    message = refused(["audit", "real", "other", "--out", "out"])
    assert "other pictures" in message and "--out" in message and f"(synthetic {sets / 'synthetic'})" in message
    message = refused(["audit", "real", "synthetic", "--holdout", "other", "--out", "out"])
    assert "(no holdout)" in message, "what is the same is not named"
    with pytest.raises(LCMemError, match="holds the results of lcmem audit"):
        claimed("out", "scan", {})
    with pytest.raises(LCMemError, match="other pictures"):
        claimed("out", "audit", again | {"synthetic": Manifest.read("synthetic").rows([0])})


def test_a_command_that_never_wrote_anything_does_not_block_a_folder(sets):
    claimed("out", "audit", {"real": "rael", "synthetic": "synthetic"})
    claimed("out", "audit", {"real": "real", "synthetic": "synthetic"})
    assert json.loads((sets / "out" / MARK).read_text())["audit"]["real"] == str(sets / "real")


def test_a_benchmark_that_measured_nothing_does_not_block_a_folder(sets):
    (claimed("out", "benchmark reid", {"data": "real"}) / "cache").mkdir()
    claimed("out", "benchmark reid", {"data": "other"})
    (sets / "mine" / "cache").mkdir(parents=True)
    with pytest.raises(LCMemError, match="holds other files"):
        claimed("mine", "benchmark reid", {"data": "other"})


def test_benchmarks_share_a_folder(sets):
    for command in ("reid", "copy", "reid"):
        out = claimed("out", f"benchmark {command}", {"data": "real"})
        (out / f"{command}.csv").write_text("")
    claimed("out", "benchmark copy", {"data": "real"})
    with pytest.raises(LCMemError, match="other pictures"):
        claimed("out", "benchmark reid", {"data": "other"})


def test_an_atlas_is_added_to(sets, compact):
    Atlas.create("real.atlas", compact)
    with claim_store("real.atlas", "atlas", {"pictures": "other"}):
        pass
    with pytest.raises(LCMemError, match="among its pictures"):
        claimed("real.atlas/audit", "audit", {"real": Atlas.open("real.atlas")})


@pytest.mark.parametrize("command", ["audit", "scan", "index", "encode", "reid"])
def test_one_command_at_a_time_in_a_folder(sets, command, monkeypatch):
    """And another one may begin as soon as the first has ended, however it ended."""
    monkeypatch.setattr(locks, "PATIENCE", 0.05)
    (sets / "out").mkdir()
    with locks.alone_in(sets / "out"):
        assert "another lcmem command is at work" in refused([*COMMANDS[command], "--out", "out"])
    (sets / "real" / "ann" / "1.png").write_text("no picture")
    (sets / "real" / "bob" / "1.png").write_text("no picture")
    for _ in range(2):
        assert "at work" not in refused([*COMMANDS[command], "--out", "out"])


def test_one_experiment_at_a_time_in_a_folder(sets, monkeypatch):
    monkeypatch.setattr(locks, "PATIENCE", 0.05)
    (sets / "out").mkdir()
    command = ["experiment", "size-curve", "--data", "nowhere.csv", "--out", "out"]
    with locks.alone_in(sets / "out"):
        assert "another lcmem command is at work" in refused(command)
        monkeypatch.setenv("LOCAL_RANK", "1")
        assert "nowhere.csv" in refused(command), "the second process of a command is the same command"
    monkeypatch.delenv("LOCAL_RANK")
    assert "nowhere.csv" in refused(command)


def test_python_is_no_way_around(sets, compact):
    with pytest.raises(LCMemError, match="among its pictures"):
        lcmem.audit("real", "synthetic", model=compact, out="synthetic")
    assert os.listdir("synthetic") == ["1.png"]


def test_features_of_a_command_that_failed_do_not_block_a_folder(sets, compact):
    (sets / "broken").mkdir()
    (sets / "broken" / "1.png").write_text("no picture")
    with pytest.raises(LCMemError, match="none of the 1 synthetic pictures"):
        lcmem.audit("real", "broken", out="out", model=compact, workers=0)
    assert (sets / "out" / "features").is_dir()
    lcmem.audit("real", "synthetic", out="out", model=compact, threshold=0.5, workers=0)
    assert (sets / "out" / "summary.json").is_file()


def test_a_manifest_never_replaces_its_input(sets):
    table = sets / "m.csv"
    table.write_text("path\nreal/ann/1.png\n")
    assert "is the input source" in refused(["manifest", "m.csv", "--out", "m.csv"])
    assert ".csv or .parquet" in refused(["manifest", "real", "--out", "real/ann/1.png"])

"""Claims: a private audit holds no name, path or pixel of a picture, and its numbers are those of the open one."""

import hashlib
import json
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

import lcmem
from commands import lcmem as lcmem_command
from lcmem.errors import LCMemError
from lcmem.jobs.audit import run as job
from lcmem.jobs.audit.run import claim_audit, run_audit
from lcmem.jobs.audit.settings import AuditSettings
from lcmem.pictures.manifest import Manifest

pytestmark = pytest.mark.usefixtures("encoded_once")


@pytest.fixture(scope="module")
def sets(faces, tmp_path_factory):
    """Names that occur nowhere else; one synthetic picture is a real file, one real file is broken."""
    root = tmp_path_factory.mktemp("hospital-folder")
    for person in range(1, 9):
        for number in (1, 2):
            save(
                faces / f"s{person}" / f"{number}.pgm",
                root / "reals" / f"patient-{person}" / f"scan-{person}-{number}.png",
            )
    for person in range(20, 24):
        save(faces / f"s{person}" / "1.pgm", root / "holdouts" / f"person-{person}" / f"held-{person}.png")
    for person in (1, 2):
        save(faces / f"s{person}" / "1.pgm", root / "made" / f"copy-of-{person}.png")
    (root / "reals" / "patient-1" / "unreadable-file.png").write_text("no")
    (root / "table.csv").write_text("path\nreals/patient-3/scan-3-1.png\nmade/copy-of-1.png\nmade/copy-of-2.png\n")
    return root


def save(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    Image.open(source).save(target)


@pytest.fixture(scope="module")
def audits(sets, compact):
    real = Manifest.read(sets / "reals")
    real = Manifest(real.table.assign(patient=real.table["identity"], site="north"), source=real.source)
    inputs = {"real": real, "synthetic": sets / "table.csv", "holdout": sets / "holdouts"}
    found = []
    for name in ("open", "private"):
        settings = AuditSettings(
            model=compact, workers=0, command="lcmem audit hospital-folder", private=name == "private"
        )
        with claim_audit(sets / name, inputs, settings):
            found.append(run_audit(inputs, settings, sets / name))
    return found


def contents(folder):
    """Every file as text, tables and all."""
    for path in folder.rglob("*"):
        if path.suffix == ".parquet":
            yield path, pd.read_parquet(path).to_csv()
        elif path.is_file():
            yield path, path.read_text(encoding="utf-8")


SECRETS = ["hospital-folder", "reals", "patient-", "scan-", "person-2", "held-", "copy-of", "unreadable", "data:image/"]


def test_nothing_names_or_shows_a_picture(sets, audits):
    found = {secret: [path.name for path, text in contents(sets / "private") if secret in text] for secret in SECRETS}
    assert found == {secret: [] for secret in SECRETS}
    assert any("patient-" in text for _, text in contents(sets / "open")), "the open one does, so the test sees"
    assert not (sets / "private" / "features").exists()
    assert not list((sets / "private").rglob("*.png"))


def test_the_numbers_are_the_same_and_files_are_found_by_their_hash(sets, audits):
    opened, private = audits
    for name in ("memorization", "copies", "holdout", "excess", "calibration"):
        assert getattr(opened, name) == getattr(private, name)
    first = hashlib.sha256((sets / "reals" / "patient-1" / "scan-1-1.png").read_bytes()).hexdigest()[:16]
    assert f"sha256:{first}" in set(private.matches["real"])
    assert private.matches["identity"].nunique() == opened.matches["identity"].nunique()
    assert not set(private.matches["identity"]) & {
        hashlib.sha256(f"patient-{n}".encode()).hexdigest()[:16] for n in range(9)
    }


def test_the_same_folder_is_used_again_but_never_after_an_open_audit(sets, audits, compact):
    before = json.loads((sets / "private" / "made-by.json").read_text())["audit"]
    assert all(place.startswith("scrypt:") for place in before.values())
    options = {"holdout": sets / "holdouts", "model": compact, "workers": 0, "private": True}
    with pytest.raises(LCMemError, match="holds an audit with names and pictures"):
        lcmem.audit(sets / "reals", sets / "table.csv", out=sets / "open", **options)
    with pytest.raises(LCMemError, match="other pictures"):
        lcmem.audit(sets / "reals", sets / "made", out=sets / "private", **options)
    lcmem.audit(sets / "reals", sets / "table.csv", out=sets / "private", **options)
    assert json.loads((sets / "private" / "made-by.json").read_text())["audit"] == before


def test_stopped_half_way_it_names_nobody_and_goes_on(sets, compact, tmp_path, monkeypatch):
    """As after a kill: nothing is tidied up."""

    def stop(*given):
        raise KeyboardInterrupt

    def stopped(out, private):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(job, "compare_sets", stop)
            lcmem.audit(*inputs, out=tmp_path / out, model=compact, workers=0, private=private)

    inputs = sets / "reals", sets / "table.csv"
    stopped("out", True)
    left = b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert not [secret for secret in SECRETS if secret.encode() in left]
    again = lcmem.audit(*inputs, out=tmp_path / "out", model=compact, workers=0, private=True)
    assert again.about["pictures_encoded"] == 0
    stopped("opened", False)
    with pytest.raises(LCMemError, match="holds an audit with names"):
        lcmem.audit(*inputs, out=tmp_path / "opened", model=compact, workers=0, private=True)


def test_columns_of_names_are_no_groups_and_unknown_ones_are_hashed(sets, compact, tmp_path):
    """As where the identity column was forgotten, and where a generator was asked for patients."""
    real, made = (Manifest.read(sets / name).table.assign(identity="") for name in ("reals", "made"))
    people = [f"patient-{min(at // 2, 7)}" for at in range(len(real))]
    real = real.assign(PatientName=people, ward=people, sex=["MF"[at % 2] for at in range(len(real))])
    made = pd.concat([made, made.assign(path=made["path"].to_numpy()[::-1])]).drop_duplicates("path")
    made = made.assign(patient="patient-1", prompt=["patient-1", "patient-2"][: len(made)])
    result = lcmem.audit(Manifest(real), Manifest(made), model=compact, workers=0, out=tmp_path / "out", private=True)
    assert set(result.risk.groups["column"]) == {"ward", "sex"}
    assert set(result.risk.groups["value"][result.risk.groups["column"] == "sex"]) == {"M", "F"}
    found = {secret: [path.name for path, text in contents(tmp_path / "out") if secret in text] for secret in SECRETS}
    assert found == {secret: [] for secret in SECRETS}


def test_pairs_by_name_do_not_go_with_it(sets):
    line = ["audit", sets / "reals", sets / "made", "--private", "--paired", "pairs.csv"]
    done = lcmem_command(*line, "--out", sets / "third")
    assert done.returncode == 1 and "--paired" in done.stderr
    assert not Path(sets / "third").exists()

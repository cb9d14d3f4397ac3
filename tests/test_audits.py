"""Claim: the benchmark of audits knows what should be found, and counts what the audit finds."""

import pytest

from lcmem.evaluation.audits import KINDS, benchmark_audit
from lcmem.pictures.manifest import Manifest

pytestmark = pytest.mark.usefixtures("encoded_once")


@pytest.fixture(scope="module")
def table(orl, tmp_path_factory):
    faces = orl.rows([k for k in range(400) if k % 10 < 3])
    out = tmp_path_factory.mktemp("audits")
    found = benchmark_audit(Manifest(faces.table.assign(dataset="ORL")), ["ncc"], out, rate=0.05, pictures=12)
    assert [path.name for path in out.iterdir()] == ["audits.csv"], "no picture is left"
    return found.set_index("kind")


def test_every_kind_is_counted(table):
    assert list(table.index) == list(KINDS) and (table["status"] == "ok").all()
    assert (table["pictures"] == 12).all() and (table["n_real"] == 40).all() and (table["n_identities"] == 20).all()
    assert ((table["share_low"] <= table["share"]) & (table["share"] <= table["share_high"])).all()


def test_edited_copies_are_found_and_strangers_are_not(table):
    assert table["found"]["light edit"] >= 9 > table["found"]["heavy edit"], "NCC stands no crops and rotations"
    assert table["found"]["round trip"] >= 11, "whole, only blurred"
    assert table["found"]["half"] >= 9, "by its looks, among the best matches by NCC"
    assert table["found"]["unseen"] <= 3
    assert table["copies"]["light edit"] > 0.5

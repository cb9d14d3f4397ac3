"""Claims: marks correct the rate with an honest interval; ``lcmem review`` serves an audit of any size to this machine
and its own page alone, only the audit's pictures, and loses no mark."""

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import urllib.request
from dataclasses import replace
from http.client import HTTPConnection

import numpy as np
import pandas as pd
import pytest

from accessibility import serious_findings
from lcmem.errors import LCMemError
from lcmem.files import write_table
from lcmem.jobs import explain
from lcmem.jobs.audit.marks import CONFIRMED, FALSE_ALARM, read_marks, read_review, review
from lcmem.jobs.audit.result import AuditResult
from lcmem.jobs.review.gallery import Gallery
from lcmem.jobs.review.server import ReviewServer
from lcmem.matching.verdicts import COPY, NO_MATCH, SAME_IDENTITY
from lcmem.stats.rates import proportion
from lcmem.stats.review import Reviewed, corrected_rate
from made_audits import made_audit


def test_a_whole_review_leaves_only_what_was_confirmed():
    rate = proportion(30, 200, 100.0)
    found = corrected_rate(rate, [Reviewed(10, 10, 0), Reviewed(20, 5, 15)])
    confirmed = proportion(15, 200, 100.0)
    assert (found.count, found.value) == (15, 0.075)
    assert (found.low, found.high) == pytest.approx((confirmed.low, confirmed.high))
    assert corrected_rate(rate, [Reviewed(30, 30, 0)], missed=2).count == 32


def test_what_nobody_looked_at_counts_but_widens_the_interval():
    rate = proportion(30, 200)
    nothing = corrected_rate(rate, [Reviewed(30, 0, 0)])
    assert nothing.value == rate.value and nothing.low == 0
    widths = [corrected_rate(rate, [Reviewed(30, n // 2, n // 2)]) for n in (4, 10, 20, 30)]
    assert all(found.value == pytest.approx(0.075) for found in widths)
    assert np.all(np.diff([found.high - found.low for found in widths]) < 0)


def test_a_mark_of_equal_pictures_is_of_both():
    """In a private audit they have one name."""
    verdicts = [COPY, COPY, SAME_IDENTITY, NO_MATCH]
    pairs = pd.DataFrame({"synthetic": ["a", "a", "b", "c"], "verdict": verdicts})
    found = review(pairs, proportion(3, 4), {"a": FALSE_ALARM, "c": CONFIRMED, "z": CONFIRMED})
    assert found.counts[FALSE_ALARM] == 2 and (found.missed, found.undecided, found.unknown) == (1, 1, 1)


def test_the_interval_holds_the_truth(rng):
    """300 audits with 100 reviewed matches of about 240, of which 60 % are right."""
    held = 0
    for _ in range(300):
        matches = rng.binomial(2000, 0.12)
        right = rng.random(matches) < 0.6
        looked = rng.permutation(right)[:100]
        found = corrected_rate(proportion(matches, 2000), [Reviewed(matches, looked.sum(), (~looked).sum())])
        held += found.low <= 0.12 * 0.6 <= found.high
    assert held / 300 >= 0.93


@pytest.fixture(scope="module")
def folder(faces, tmp_path_factory):
    """An audit of 60 pictures that was saved."""
    place = tmp_path_factory.mktemp("review")
    made_audit(faces, place / "sets", count=60, matches=30).save(place / "audit")
    return place / "audit"


@pytest.fixture
def served(folder):
    (folder / "marks.csv").unlink(missing_ok=True)
    with ReviewServer(Gallery(folder), 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def ask(server, path, body=None, **headers):
    """Status and content of an answer."""
    connection = HTTPConnection("127.0.0.1", server.server_port)
    names = {"Host": f"127.0.0.1:{server.server_port}"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    connection.request("GET" if body is None else "POST", path, body, names)
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_only_this_machine_and_this_page_may_ask(served):
    assert served.server_address[0] == "127.0.0.1"
    assert ask(served, "/pairs")[0] == 200
    for name in (
        {"Host": "evil.example"},
        {"Host": f"evil.example:{served.server_port}"},
        {"Origin": "http://evil.example"},
    ):
        assert ask(served, "/pairs", **name)[0] == 403
    mark, token = json.dumps({"index": 0, "mark": "confirmed"}), served.gallery.token
    assert ask(served, "/marks", mark)[0] == ask(served, "/marks", mark, X_Token="guessed")[0] == 403
    assert ask(served, "/marks", mark, X_Token=token, Origin="http://evil.example")[0] == 403
    assert not served.gallery.marks
    assert ask(served, "/marks", mark, X_Token=token)[0] == 200 and len(served.gallery.marks) == 1


def test_only_pictures_of_the_audit(served, folder):
    status, picture = ask(served, "/picture/0/synthetic")
    assert status == 200 and picture.startswith(b"\xff\xd8")
    wrong = ["/picture/60/real", "/picture/-1/real", "/picture/0/other", "/picture/0/../../etc/passwd", "/etc/passwd"]
    wrong += ["/picture//etc/passwd", "/..%2f..%2fetc/passwd", "/summary.json", "/picture/0/real/"]
    assert [ask(served, path)[0] for path in wrong] == [404] * len(wrong)
    assert [ask(served, f"/pairs?{query}")[0] for query in ("start=x", "sort=x", "least=x")] == [400] * 3


def test_bad_marks_are_refused(served, folder):
    token = served.gallery.token
    bodies = ["{", "[]", '{"index": 99, "mark": "confirmed"}', '{"index": 0, "mark": "maybe"}', '{"index": "0"}']
    for body in (*bodies, '{"index": true, "mark": "unsure"}'):
        assert ask(served, "/marks", body, X_Token=token)[0] == 400
    assert ask(served, "/marks", " " * 20_000, X_Token=token)[0] == 404
    assert not (folder / "marks.csv").exists()


def test_a_browser_that_leaves_is_no_error(served, capsys):
    for path in ("/", "/picture/0/real"):
        with socket.create_connection(("127.0.0.1", served.server_port)) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{served.server_port}\r\n\r\n".encode())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, no goodbye
        assert ask(served, "/pairs")[0] == 200
    assert "Exception" not in capsys.readouterr().err


def test_a_port_that_is_taken_is_named(served, folder):
    with pytest.raises(LCMemError, match=f"port {served.server_port}: Address already in use; leave --port out"):
        ReviewServer(served.gallery, served.server_port)


def test_pages_filters_and_orders(served):
    def rows(**query):
        found = json.loads(ask(served, "/pairs?" + "&".join(f"{name}={value}" for name, value in query.items()))[1])
        return found["total"], [row["index"] for row in found["rows"]]

    assert rows(count=7, start=50) == (60, list(range(50, 57))) and rows(count=1000)[0] == 60
    assert rows(verdict="match")[0] == 30 and rows(verdict="close") == (2, [30, 31])
    assert rows(sort="weakest", count=2) == (60, [59, 58]) and rows(identity="person%203")[0] == 9
    assert rows(text="SYNTHETIC/00005")[0] == 10 and rows(least="13.5")[0] == 2 and rows(mark="unmarked")[0] == 60


def test_in_a_browser(served, folder, opened):
    page = opened(served.address)
    assert page.inner_text("#range") == "1–24 of 30"
    page.evaluate("Promise.all([...document.images].map(image => image.decode()))")
    page.click("#cards button")
    for key in ("1", "j", "2", "j", "3"):
        page.keyboard.press(key)
        page.wait_for_timeout(100)
    page.keyboard.press("Escape")
    page.wait_for_selector("#marked:text-is('1 confirmed, 1 false alarm, 1 unsure')")
    assert list(read_marks(folder / "marks.csv").values()) == ["confirmed", "false alarm", "unsure"]
    page.reload()
    assert page.inner_text("#marked") == "1 confirmed, 1 false alarm, 1 unsure"
    page.select_option("#mark", "unsure")
    page.wait_for_selector("#cards li:only-child")
    assert "Corrected memorization rate" in page.inner_text(".note")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_accessible(served, opened, scheme):
    page = opened(served.address, color_scheme=scheme)
    assert not serious_findings(page)
    page.click("#cards button")
    assert not serious_findings(page)


def test_heat_maps_are_made_when_asked_for(folder, served, opened, bundled, monkeypatch):
    """Once each, by the audit's model alone, for the page alone; and shown in its dialog."""
    asked = []
    original = explain.explain_pair
    monkeypatch.setattr(explain, "explain_pair", lambda *given: asked.append(given[1:]) or original(*given))
    token = {"X_Token": served.gallery.token}
    assert ask(served, "/map/0")[0] == ask(served, "/map/60", **token)[0] == ask(served, "/map/x", **token)[0] == 404
    status, why = ask(served, "/map/0", **token)
    assert status == 400 and b"not the model of the audit" in why and not asked
    served.gallery.result.about["model_fingerprint"] = bundled.fingerprint
    page = opened(served.address)
    page.click("#cards button")
    page.keyboard.press("h")
    page.wait_for_selector("#stage canvas[width='128'] >> nth=1", timeout=120_000)
    assert page.locator("#stage p").count() == 0 and len(asked) == 1
    maps = json.loads(ask(served, "/map/0", **token)[1])["maps"]
    assert len(asked) == 1 and max(maps[0]["values"]) > 0
    served.gallery.result.about["model_fingerprint"] = "ab" * 32


def test_marks_survive_what_is_not_in_the_audit_any_more(folder, served):
    (folder / "marks.csv").write_text("synthetic,real,verdict,mark\ngone.png,a,copy,unsure\n")
    found = Gallery(folder)
    found.mark(3, "confirmed")
    assert read_marks(folder / "marks.csv") == {"synthetic/000003.jpg": "confirmed", "gone.png": "unsure"}
    assert read_review(folder, found.result).unknown == 1
    found.mark(3, "")
    assert read_marks(folder / "marks.csv") == {"gone.png": "unsure"}
    (folder / "marks.csv").write_text("synthetic,mark\na.png,perhaps\n")
    with pytest.raises(LCMemError, match=r"marks.csv, line 2: 'perhaps' is no mark"):
        Gallery(folder)


def test_two_galleries_of_one_audit_keep_each_others_marks(folder, served):
    one, two = Gallery(folder), Gallery(folder)
    one.mark(3, "confirmed"), two.mark(4, "false alarm"), one.mark(5, "unsure"), two.mark(3, "")
    assert {*read_marks(folder / "marks.csv").values()} == {"false alarm", "unsure"}


def test_marks_may_have_the_paths_of_other_tables(folder):
    path = pd.read_csv(folder / "matches.csv")["synthetic"][0]
    (folder / "marks.csv").write_text(f"synthetic,mark\n{path},confirmed\n")
    gallery = Gallery(folder)
    assert [*gallery.marks.values()] == ["confirmed"] and path not in gallery.marks
    found = read_review(folder, gallery.result)
    assert found.marks == gallery.marks and found.unknown == 0
    (folder / "marks.csv").write_text("synthetic,mark\ngone.png,confirmed\n")
    assert read_review(folder, gallery.result) is None, "nothing to correct a rate by"


def busy(process):
    """Seconds that a process has computed, whatever else the machine does."""
    with open(f"/proc/{process}/stat") as stat:
        return sum(map(int, stat.read().rsplit(")", 1)[1].split()[11:13])) / os.sysconf("SC_CLK_TCK")


def test_100000_pictures_in_less_than_a_gigabyte(folder, tmp_path, monkeypatch):
    """As a user runs it; memory is the most that the process ever held."""
    (folder / "marks.csv").unlink(missing_ok=True)
    monkeypatch.setattr(AuditResult, "write_report", lambda *_: None)  # the page is not what is measured
    small = AuditResult.load(folder)
    many = pd.concat([small.matches] * 1667, ignore_index=True)
    number = pd.Series(np.arange(len(many)) // 60).astype(str).where(np.arange(len(many)) >= 60, "")
    many["synthetic"] = many["synthetic"].str.replace(".jpg", "") + number + ".jpg"
    ranked = pd.concat([many.assign(rank=rank) for rank in range(1, 6)]).sort_index(kind="stable", ignore_index=True)
    replace(small, matches=many, memorization=proportion(1667 * 30, len(many))).save(tmp_path)
    write_table(ranked, tmp_path / "matches.parquet")
    run = subprocess.Popen(
        [sys.executable, "-m", "lcmem", "review", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    address = run.stdout.readline().split(": ")[1].split(" ")[0]
    took = []
    for path in ("", "pairs?verdict=all&start=90000&sort=identity", "pairs?text=000007", "picture/0/real"):
        began = busy(run.pid)
        with urllib.request.urlopen(address + path) as answer:
            assert answer.status == 200 and len(answer.read()) > 1000
        took.append(busy(run.pid) - began)
    with open(f"/proc/{run.pid}/status") as status:
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
    run.send_signal(signal.SIGINT)
    assert run.communicate(timeout=120)[0].strip() == "Nothing is marked." and run.returncode == 0
    said = f"{peak:.0f} MB, at most {max(took):.1f} s of work for an answer"
    print(f"lcmem review of {len(many):,} pictures with five matches each: {said}")
    assert peak < 1000 and max(took) < 2

"""Claims: pictures and the home folder may be read-only; where results cannot be written, a line says so at once."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from made_audits import made_audit

MOUNTED = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" || exit 77; HOME="$1" exec "$2" -c "$3"'
SCRIPT = """
from pathlib import Path
from commands import lcmem
from lcmem.errors import LCMemError
from lcmem.jobs.review.gallery import Gallery
from test_output import refused
for out in ('ro/new', 'ro/empty'):
    print(refused(['audit', 'ro/sets/real', 'ro/sets/synthetic', '--out', out]))
print(refused(['index', 'ro/sets/real', '--out', 'ro/atlas']))
print(refused(['duplicates', 'ro/sets/real', '--out', 'ro/table.csv']))
gallery = Gallery(Path('ro/audit'))
try:
    gallery.mark(0, 'confirmed')
except LCMemError as error:
    print(error)
print('marked', gallery.marks)
done = lcmem('audit', 'ro/sets/real', 'ro/sets/synthetic', '--model', 'phash', '--out', 'out')
print('audit', done.returncode, Path('out/index.html').is_file())
"""


@pytest.mark.skipif(shutil.which("unshare") is None, reason="read-only folders are made by Linux's unshare")
def test_read_only_folders(faces, tmp_path):
    """Mounted so, since file modes do not hold root back."""
    made_audit(faces, tmp_path / "ro" / "sets", count=60, matches=3).save(tmp_path / "ro" / "audit")
    (tmp_path / "ro" / "empty").mkdir()
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    done = subprocess.run(
        ["unshare", "--mount", "--map-root-user", "sh", "-c", MOUNTED, "sh", tmp_path / "ro", sys.executable, SCRIPT],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )
    if done.returncode in (1, 77) and "Traceback" not in done.stderr:
        pytest.skip(f"nothing can be mounted here: {done.stderr}")
    assert done.stdout.splitlines() == [
        "ro/new: cannot be made (Read-only file system); choose another place with --out",
        "ro/empty: nothing can be written there; choose another place with --out",
        "ro/atlas: cannot be made (Read-only file system); choose another place with --out",
        "ro: nothing can be written there; choose another place with --out",
        "ro/audit: nothing can be written there (Read-only file system)",
        "marked {}",
        "audit 0 True",
    ], done.stderr

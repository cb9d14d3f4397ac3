"""How robust is it? Damaged files, kills at random moments, two processes on one folder, and full disks.

    python tools/robustness.py files|kills|pairs|disks [--count 100] [--minutes 30] [--out docs/robustness.md]

Everything is made from the faces that ``lcmem demo`` uses, and from the seed. Exit 1 if anything went wrong. Unix only.
"""

import argparse
import resource
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path

import pandas as pd
import torch
from fuzz_readers import fuzz, tally
from kill_commands import SHARES, Job, Toll, in_folder, jobs, killed, start, together, wait

from lcmem.evaluation.tables import markdown
from lcmem.files import write_text
from lcmem.jobs.demo import faces_folder
from lcmem.pictures.manifest import Manifest

FACES, SYNTHETIC = 24, 10
ROOM = (500, 5_000, 60_000)
"""Bytes after which a file cannot grow: as on a full disk."""
SECTIONS = {
    "files": """## Damaged files

`python tools/robustness.py files --count {count} --seed {seed}{limit}`. Whole files of every kind that is
read, each with one to four random changes: bytes altered, cut off, taken out, doubled, or replaced by what parsers trip
over. Each must be read, or refused with one line, within 20 s and 16 GB of address space. Most memory that a reader
used: {megabytes} MB, of which about 500 MB are the program itself.
""",
    "kills": """## Killed at random moments

`python tools/robustness.py kills --count {count} --seed {seed}{limit} --commands {commands}`. Each job is
killed (`SIGKILL`) up to four times, at moments uniform over the time that it takes, and then ends. What it leaves must
be what an undisturbed job leaves: tables, features and latents without a row lost or doubled (numbers to 1e-4, since
batches differ), of a training the same steps and a detector that loads; and no temporary file. Kills that came after
the job's end do not count.
""",
    "pairs": """## Two processes on one folder

`python tools/robustness.py pairs --count {count} --commands {commands}`. The same command twice at once in one
folder: the one waits for the other, and ends with one line if that takes long. Started once more, the result must be
that of an undisturbed job.
""",
    "disks": """## Full disks

`python tools/robustness.py disks --commands {commands}`. No file can grow beyond {room} bytes, as on a full
disk. The command must end with one line (or well, where it writes less); with room again, the same command must end
well.
""",
}
HEAD = """# Robustness

What is promised, and what is not, is in [SECURITY.md](../SECURITY.md). Each table is made by the command above it,
which exits with 1 if anything went wrong.
"""


def prepare(folder: Path) -> dict[str, Job]:
    """Pictures, and the commands on them."""
    faces = Manifest.read(faces_folder())
    for name, chosen in (("real", range(FACES)), ("synthetic", range(0, 2 * SYNTHETIC, 2))):
        for number in chosen:
            target = folder / name / f"p{number // 4}" / f"{number}.pgm"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(Path(faces.paths[number]).read_bytes())
    (folder / "real" / "p0" / "broken.png").write_bytes(b"\x89PNG broken")
    table = Manifest.read(folder / "real").table
    table = table[table["path"].str.endswith(".pgm")]
    split = table["identity"].map(lambda name: "val" if name in ("p4", "p5") else "train")
    table.assign(split=split).to_csv(folder / "labelled.csv", index=False)
    return jobs(folder / "real", folder / "synthetic", folder / "labelled.csv")


@contextmanager
def little_room(size: int) -> Iterator[None]:
    """No file of a process started meanwhile grows beyond ``size`` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def full(job: Job, folder: Path) -> list[str]:
    """Run a command on disks of several sizes; what is wrong with how it ended."""
    wrong, log = [], folder / "full.txt"
    for size in ROOM:
        arguments = in_folder(job, folder / f"full-{job.arguments[0]}-{size}")
        with little_room(size):
            child = start(arguments, log)
        end = wait(child, log)
        wrong += [f"{size} bytes: {end}"] if "Traceback" in end or "not done" in end else []
        again = wait(start(arguments, log), log)
        wrong += [f"after {size} bytes: {again}"] if again else []
    return wrong


def preload(chosen: list[str]) -> None:
    """Load what the commands use: their processes are copies of this one, and begin with their work at once."""
    import lcmem.atlas
    import lcmem.jobs.audit.run
    import lcmem.jobs.scan.run
    import lcmem.latents
    import lcmem.report.evidence

    if "train" in chosen:
        import lcmem.training.run  # noqa: F401


def in_turn(runs: dict[str, Iterator[Toll]], until: float) -> dict[str, Toll]:
    """A job of each command in turn, until all are done or the time is over."""
    tolls: dict[str, Toll] = {}
    while runs and (time.monotonic() < until or not tolls):
        for name, run in list(runs.items()):
            if (toll := next(run, None)) is None:
                del runs[name]
            else:
                tolls[name] = toll
    return tolls


def tried(
    what: str, count: int, seed: int, folder: Path, chosen: list[str], until: float
) -> tuple[pd.DataFrame, list[str]]:
    """A table of commands that were disturbed, and what went wrong."""
    preload(chosen)
    every = prepare(folder)
    if what == "kills":
        shares = {name: round(count * SHARES[name] / sum(SHARES[each] for each in chosen)) for name in chosen}
        tolls = in_turn({name: killed(name, every[name], shares[name], seed, folder) for name in chosen}, until)
        rows = [(f"lcmem {name}", toll.kills, toll.jobs, len(toll.failed)) for name, toll in tolls.items()]
        rows.append(("all", *(sum(int(row[at]) for row in rows) for at in (1, 2, 3))))
        table = pd.DataFrame(rows, columns=["command", "kills", "jobs", "lost, doubled, tracebacks, hangs"])
        return table, [f"{name}: {wrong}" for name, toll in tolls.items() for wrong in toll.failed]
    times = count // len(chosen) if what == "pairs" else len(ROOM)
    found = {
        name: together(every[name], times, folder) if what == "pairs" else full(every[name], folder) for name in chosen
    }
    rows = [(f"lcmem {name}", times, len(wrong)) for name, wrong in found.items()]
    table = pd.DataFrame(rows, columns=["command", what, "tracebacks, hangs, damaged results"])
    return table, [f"{name}: {each}" for name, wrong in found.items() for each in wrong]


def write_section(title: str, section: str, page: Path) -> None:
    """Replace a section of the page, or add it."""
    parts = (page.read_text(encoding="utf-8") if page.is_file() else HEAD).split("\n## ")
    kept = [part.rstrip() for part in parts if not f"## {part}".startswith(title)]
    write_text("\n\n## ".join([*kept, section.removeprefix("## ")]), page)


def main() -> int:
    """One part; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=list(SECTIONS))
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--commands", default=",".join(SHARES), help="Those to disturb, separated by commas.")
    parser.add_argument("--out", type=Path, help="Page in which to replace a section.")
    parser.add_argument("--minutes", type=float, default=inf, help="Stop then, with what was done.")
    options, megabytes = parser.parse_args(), 0
    until = time.monotonic() + 60 * options.minutes
    torch.set_num_threads(1)  # threads do not survive in the copies of this process that the work is done in
    with tempfile.TemporaryDirectory() as folder:
        if options.what == "files":
            found = fuzz(options.count, options.seed, Path(folder), until)
            megabytes = max(part.megabytes for part in found.values())
            table, wrong = tally(found), [f"{name}: {each}" for name, part in found.items() for each in part.failed]
        else:
            chosen = options.commands.split(",")
            table, wrong = tried(options.what, options.count, options.seed, Path(folder), chosen, until)
    limit = "" if options.minutes == inf else f" --minutes {options.minutes:g}"
    told = SECTIONS[options.what].format(
        **vars(options), limit=limit, megabytes=megabytes, room=", ".join(map(str, ROOM))
    )
    title, text = told.split("\n\n")
    rows = markdown(list(table.columns), table.astype(str).to_numpy().tolist())
    section = f"{title}\n\n{textwrap.fill(text, 120, break_on_hyphens=False)}\n\n{rows}"
    print(section, *wrong, sep="\n\n")
    if options.out:
        write_section(told.splitlines()[0], section, options.out)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())

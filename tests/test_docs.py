"""Claims: every command line of README, docs and Dockerfile, also those of a pipeline's steps, is one that the program
takes, imports in them work, lines wrap."""

import ast
import importlib
import re
import shlex
from pathlib import Path

import pytest
import typer

import lcmem
from lcmem.cli.app import app
from test_cli_help import all_commands

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
SITE = (ROOT / "tools" / "site.py").read_text(encoding="utf-8")
MEASURED = {"benchmarks.md", "models.md", "model-log.md", "training.md", "error-rates.md"}
"""Pages that commands write, or that list settings in long lines."""
ELSEWHERE = {"faiss", "pgvector", "psycopg", "qdrant_client", "diffusers"}
"""Packages that a page may name and that need not be here."""


def blocks(text):
    """Language and lines of each block of code, fenced or indented."""
    yield from re.findall(r"```(\w*)\n(.*?)```", text, re.DOTALL)
    yield "", "\n".join(line[4:] for line in text.splitlines() if line.startswith("    "))


COMMAND = re.compile(r"\s*(?:- )?(?:run: )?(lcmem .*)")
"""A line of a shell, or a step of a pipeline."""


def command_lines():
    """Of each page, and those of the Dockerfile's comments."""
    shown = [(page.name, code) for page in PAGES for _, code in blocks(page.read_text(encoding="utf-8"))]
    docker = re.findall(r"^# +(.*)", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    every = [(name, line) for name, code in [*shown, ("Dockerfile", "\n".join(docker))] for line in code.splitlines()]
    for name, line in dict.fromkeys(every):
        found = COMMAND.fullmatch(line)
        if found and "…" not in line:
            yield pytest.param(found[1], id=f"{name}: {found[1][:60]}")


def test_pipelines_and_the_container_are_among_them():
    found = [parameters.id for parameters in command_lines()]
    assert any("--holdout data/holdout" in name for name in found), "GitHub"
    assert any("auditing.md: lcmem audit data/train data/samples --out" in name for name in found), "GitLab"
    assert any(name.startswith("Dockerfile: lcmem audit") for name in found)


def test_nothing_is_installed_by_a_name_that_is_on_no_index():
    """Whoever takes the name there could run code in every pipeline."""
    for page in PAGES:
        assert not re.search(r"pip install '?lcmem\b", page.read_text(encoding="utf-8")), page.name


@pytest.mark.parametrize("line", [*command_lines()])
def test_command_lines(line):
    assert [*all_commands()]
    command = typer.main.get_command(app)
    words = shlex.split(line, comments=True)[1:]
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        assert words[0] in command.commands, f"no command {words[0]}"
        command = command.commands[words.pop(0)]
    if not hasattr(command, "commands"):
        words = words[: words.index(">")] if ">" in words else words
        command.make_context("lcmem", [word.replace("CHECKPOINT", "compact") for word in words])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_imports_and_names(page):
    for language, code in blocks(page.read_text(encoding="utf-8")):
        if language != "python":
            continue
        for node in ast.walk(ast.parse(code)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] not in ELSEWHERE:
                module = importlib.import_module(node.module)
                assert all(hasattr(module, name) for name in names), names
            elif isinstance(node, ast.Import):
                [importlib.import_module(name) for name in names if name.split(".")[0] not in ELSEWHERE]
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "lcmem":
                assert hasattr(lcmem, node.attr), f"lcmem.{node.attr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_names_of_modules_in_the_text(page):
    for name in re.findall(r"`(lcmem(?:\.[A-Za-z_]+)+)[`(]", page.read_text(encoding="utf-8")):
        parts = name.split(".")
        found = lcmem
        for at, part in enumerate(parts[1:], 2):
            if not hasattr(found, part):
                importlib.import_module(".".join(parts[:at]))
            found = getattr(found, part)


@pytest.mark.parametrize("page", [page for page in PAGES if page.name not in MEASURED], ids=lambda page: page.name)
def test_lines_wrap_and_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    long = [line for line in prose.splitlines() if len(line) > 120 and not line.startswith(("|", "    ", "!["))]
    assert not long
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        assert target.startswith("http") or (page.parent / target).exists(), target
        outside = page.parent.name == "docs" and target.removeprefix("../") != target
        assert not outside or f'"{target[3:].removesuffix(".md")}"' in SITE, f"{target}: the site would not have it"

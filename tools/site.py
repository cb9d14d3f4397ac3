"""Hooks of mkdocs: pages of the site that are not in docs/ (README, contributing, changelog, the Python API)."""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import lcmem

ROOT = Path(__file__).parents[1]
NAMES = {"README": "index", "CONTRIBUTING": "contributing", "CHANGELOG": "changelog", "SECURITY": "security"}
PAGES = {f"{name}.md": f"{page}.md" for name, page in NAMES.items() if (ROOT / f"{name}.md").is_file()}

LINKED = ("src/lcmem/report/audit-card.schema.json",)
"""Files of the package that pages lead to."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    for source, target in PAGES.items():
        files.append(File.generated(config, target, content=(ROOT / source).read_text(encoding="utf-8")))
    files.append(File.generated(config, "api.md", content=api()))
    for source in LINKED:
        files.append(File.generated(config, Path(source).name, content=(ROOT / source).read_text(encoding="utf-8")))
    return files


def on_page_markdown(text: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links between the root of the repository and docs/ lead from page to page here."""
    for source, target in PAGES.items():
        text = re.sub(rf"\]\((\.\./)?{source}", f"]({target}", text)
    for source in LINKED:
        text = text.replace(f"](../{source})", f"]({Path(source).name})")
    return text.replace("](docs/", "](")


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Docstrings name other objects as Sphinx does; here their name is enough."""
    return re.sub(r":(?:class|func|meth|data|attr|mod|exc):(<code[^>]*>)~?", r"\1", html)


def api() -> str:
    """All public names with their docstrings."""
    homes = lcmem._HOMES
    names = "\n\n".join(f"::: {home}.{name}" for name, home in sorted(homes.items(), key=lambda item: item[0].lower()))
    return f"# Python\n\n`lcmem.load` is `lcmem.LCMem.load`. Everything below is imported as `lcmem.NAME`.\n\n{names}\n"

"""What MkDocs is told beside mkdocs.yml: the pages that are made of the code, and links that lead out of docs/.

On GitHub a page links to a file of the repository; in the site the same link leads to the page that shows it.
"""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from reference.commands import commands
from reference.rest import rest
from reference.settings import settings
from reference.tables import tables

ROOT = Path(__file__).parents[1]
REFERENCE = {
    "reference/settings.md": settings,
    "reference/commands.md": commands,
    "reference/rest.md": rest,
    "reference/tables.md": tables,
}
SHOWN = {  # a file of the repository: the page that has what is in it
    "CHANGELOG.md": "changelog.md",
    "conf/afterglow.toml": "reference/settings.md",
    "conf/spark-defaults.conf": "properties.md",
    "monitor_app/afterglow_monitor/cli": "reference/commands.md",
    "monitor_app/afterglow_monitor/rest": "reference/rest.md",
    "store/afterglow_store/schema.py": "reference/tables.md",
}
COPIED = {"changelog.md": "CHANGELOG.md", "assets/mark.svg": "monitor_app/afterglow_monitor/assets/mark.svg"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for name, make in REFERENCE.items():
        files.append(File.generated(config, name, content=make()))
    for name, source in COPIED.items():
        files.append(File.generated(config, name, content=(ROOT / source).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    return re.sub(r"\]\(\.\./([^)#]+)", lambda link: f"]({SHOWN.get(link[1], link[0][2:])}", markdown)

"""The documentation as a site: it is built without a warning, complete, of the code, and of nothing from elsewhere."""

import html
import re
import sys
import threading
from collections.abc import Iterable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import click
import pytest
import yaml  # type: ignore[import-untyped]
from mkdocs.commands.build import build
from mkdocs.config import load_config
from playwright.sync_api import Page

from afterglow_monitor.cli import COMMANDS, cli
from afterglow_monitor.rest.document import document
from afterglow_monitor.settings import AlertRule, MlflowServer, Settings, VisibleRule
from afterglow_store.schema import metadata
from tests.support.parts import ROOT

DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Built as `make docs` builds it: a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_MKDOCS_2_WARNING", "1")
        patch.setattr(sys, "path", sys.path.copy())
        config = load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder))
        assert config.strict
        build(config)
        yield folder


def pages_of(menu: Iterable[dict[str, object]]) -> Iterator[str]:
    for entry in menu:
        [under] = entry.values()
        yield from [under] if isinstance(under, str) else pages_of(under)  # type: ignore[arg-type]


def test_every_page_is_in_the_menu_and_once(site: Path) -> None:
    menu = list(pages_of(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]))
    built = {path.relative_to(site).with_suffix(".md").as_posix() for path in site.rglob("*.html")}
    assert sorted(menu) == sorted(built - {"404.md", "index.md"} | {"README.md"})
    assert {path.name for path in DOCS.glob("*.md")} <= set(menu)


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    markup = {path: path.read_text() for path in site.rglob("*.html")}
    assert len(markup) > 30
    loaded = r"<(?:script|link|img|iframe|source|video)\b[^>]*\b(?:src|href|srcset)=[\"']?(?:https?:)?//[^>]*>"
    assert [found for text in markup.values() for found in re.findall(loaded, text)] == []
    styles = "".join(path.read_text() for path in site.rglob("*.css"))
    assert re.findall(r"@import[^;]*//|url\([\"']?(?:https?:)?//[^)]*\)", styles) == []


@pytest.fixture
def served(site: Path) -> Iterator[str]:
    handler = partial(SilentHandler, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class SilentHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_a_page_is_found_by_its_search_and_nothing_is_asked_of_others(served: str, page: Page) -> None:
    """The page fixture sees to the latter."""
    page.goto(f"{served}/index.html")
    page.get_by_placeholder("Search").first.fill("keep_days")
    page.locator(".md-search-result a", has_text="Settings of the server").first.click()
    page.wait_for_url("**/reference/settings.html**")


def test_lists_and_tables_are_those_that_github_shows(site: Path) -> None:
    """Markdown differs: without an empty line before it a list is a part of the paragraph here, and a list there."""
    text = {path.name: re.sub(r"<pre.*?</pre>", "", path.read_text(), flags=re.DOTALL) for path in site.rglob("*.html")}
    assert {name: found for name, each in text.items() if (found := re.findall(r"\n(?:[-*] |\d\. |\|).*", each))} == {}


def codes_of(page: Path) -> set[str]:
    return {html.unescape(code) for code in re.findall(r"<code>(.*?)</code>", page.read_text())}


def test_the_reference_has_every_setting(site: Path) -> None:
    sections = [getattr(Settings(home=ROOT), name) for name in Settings.model_fields if name != "home"]
    models = [type(each) for each in sections if each != ()] + [VisibleRule, AlertRule, MlflowServer]
    names = {name for model in models for name in model.model_fields}
    assert len(names) > 40
    assert names - codes_of(site / "reference" / "settings.html") == set()


def test_the_reference_has_every_spark_property(site: Path) -> None:
    java = "".join((ROOT / "listener/java/io/afterglow" / f"{name}.java").read_text() for name in
                   ("Settings", "CollectorSettings"))  # fmt: skip
    assert set(re.findall(r'"(spark\.afterglow\.[\w.]+)"', java)) - codes_of(site / "properties.html") == set()


def test_the_reference_has_every_command_and_option(site: Path) -> None:
    shown = codes_of(site / "reference" / "commands.html")
    options = {" ".join(each.split()[:1]).rstrip(",") for each in shown}
    for name, command in commands_by_name().items():
        assert f"afterglow {name}" in shown
        assert {each.opts[0] for each in command.params if isinstance(each, click.Option)} <= options, name


def commands_by_name() -> dict[str, click.Command]:
    """Also those of groups: "db backup"."""
    found = {name: command for name in COMMANDS if (command := cli.get_command(click.Context(cli), name))}
    inner = {
        f"{name} {each}": command.commands[each]
        for name, command in found.items()
        if isinstance(command, click.Group)
        for each in command.commands
    }
    return found | inner


def test_the_reference_has_every_route_and_field(site: Path) -> None:
    page = html.unescape((site / "reference" / "rest.html").read_text())
    described = document()
    assert [path for path in described["paths"] if f" {path}" not in page] == []
    fields = {name for each in described["components"]["schemas"].values() for name in each["properties"]}
    assert fields - codes_of(site / "reference" / "rest.html") == set()


def test_the_reference_has_every_table_and_column(site: Path) -> None:
    page = site / "reference" / "tables.html"
    assert [name for name in metadata.tables if f'<h2 id="{name}">' not in page.read_text()] == []
    columns = {column.name for table in metadata.tables.values() for column in table.columns}
    assert columns - codes_of(page) == set()


def test_the_page_of_environment_variables_has_those_of_the_code() -> None:
    code = [path for part in ("listener", "store", "monitor_app") for path in (ROOT / part).rglob("*.py")]
    code += (ROOT / "listener").rglob("*.java")
    read = {name for path in code for name in re.findall(r'"(AFTERGLOW_[A-Z_]+)"', path.read_text())}
    assert set(re.findall(r"^\| `(AFTERGLOW_\w+)`", (DOCS / "environment.md").read_text(), re.MULTILINE)) == read


def test_every_command_that_a_page_shows_exists_with_its_options() -> None:
    shown = 0
    known = commands_by_name()
    for page in (*DOCS.glob("*.md"), ROOT / "README.md"):
        for name, options in commands_shown(page.read_text()):
            command = known.get(name) or known[name.split()[0]]
            has = {each for param in command.params for each in param.opts} | {"--help"}
            assert command.name == "submit" or options <= has, f"{page.name}: afterglow {name} {options - has}"
            shown += 1
    assert shown > 40


def commands_shown(text: str) -> Iterator[tuple[str, set[str]]]:
    """Of blocks of code: the name of each command, with the one after it ("db backup"), and its options."""
    for block in re.findall(r"^```(?:bash)?\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        lines = re.sub(r"\\\n", " ", block)
        for words in re.findall(r"(?:^(?:[A-Z_]+=\S+ )?|\$\(|/bin/)afterglow ([a-z][^\n#|)>]*)", lines, re.MULTILINE):
            name = re.match(r"[a-z-]+(?: [a-z]+)?", words)
            assert name is not None
            yield name[0], set(re.findall(r"(?<!\S)(--[a-z-]+)", re.sub(r"\"[^\"]*\"", "", words)))

"""Settings: what the file says, what it may not say, and that conf/ says the same as the code."""

import re
import tomllib
from pathlib import Path

import pytest

from afterglow.settings import read_settings
from afterglow_monitor.errors import BadSettings
from afterglow_monitor.settings import MlflowServer, Settings, VisibleRule, demo_database, load_settings
from tests.support.parts import ROOT


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"AFTERGLOW_HOME": str(tmp_path)}


def write(environ: dict[str, str], text: str) -> None:
    Path(environ["AFTERGLOW_HOME"], "afterglow.toml").write_text(text)


def test_the_shipped_file_has_every_setting_with_its_default() -> None:
    shipped = tomllib.loads((ROOT / "conf" / "afterglow.toml").read_text())
    defaults = Settings(home=Path("/nowhere")).model_dump(mode="json", exclude={"home", "mlflow", "visible", "alerts"})
    assert shipped == defaults


def test_the_shipped_file_shows_every_setting_of_a_tracking_server() -> None:
    text = (ROOT / "conf" / "afterglow.toml").read_text()
    example = "\n".join(line.removeprefix("# ") for line in text[text.index("# [[mlflow]]") :].splitlines())
    assert set(tomllib.loads(example)["mlflow"][0]) == set(MlflowServer.model_fields)


def test_the_shipped_file_shows_every_setting_of_a_rule() -> None:
    text = (ROOT / "conf" / "afterglow.toml").read_text()
    example = text[text.index("# [[visible]]") :].partition("\n\n")[0]
    said = tomllib.loads("\n".join(line.removeprefix("# ") for line in example.splitlines()))
    assert set(said["visible"][0]) == set(VisibleRule.model_fields)


def test_the_shipped_spark_defaults_are_those_of_the_listener() -> None:
    shipped = (ROOT / "conf" / "spark-defaults.conf").read_text()
    in_file = dict(re.findall(r"^#? ?(spark\.afterglow\.\S+) +(\S+)", shipped, re.MULTILINE))
    java = ROOT / "listener" / "java" / "io" / "afterglow"
    in_code = "".join((java / f"{name}.java").read_text() for name in ("Settings", "CollectorSettings"))
    assert set(in_file) == set(re.findall(r'"(spark\.afterglow\.[\w.]+)"', in_code))
    for key in ("enabled", "flush.timeout", "queue.bytes", "heartbeat.interval", "journal.maxSize"):
        value = in_file[f"spark.afterglow.{key}"]
        assert re.search(rf'"spark\.afterglow\.{re.escape(key)}"[^;]*"?{value}"?', in_code), key


def test_the_page_of_spark_properties_has_each_with_its_default_and_who_reads_it() -> None:
    page = (ROOT / "docs" / "properties.md").read_text()
    row = r"^\| `(spark\.afterglow\.\S+)` \| (?:`(\S+)`)? ?\| [^|]+ \| ([^|]+) \| .+ \|$"
    rows = re.findall(row, page, re.MULTILINE)
    java = ROOT / "listener" / "java" / "io" / "afterglow"
    in_java = "".join((java / f"{name}.java").read_text() for name in ("Settings", "CollectorSettings"))
    by_listener = set(re.findall(r'"(spark\.afterglow\.[\w.]+)"', in_java))
    by_hook = read_by_hook({"spark.afterglow.collector.url": "http://h"})
    assert {key: readers for key, _, readers in rows} == {
        key: ", ".join(name for name, keys in (("listener", by_listener), ("hook", by_hook)) if key in keys)
        for key in by_listener | by_hook
    }
    shipped = (ROOT / "conf" / "spark-defaults.conf").read_text()
    defaults = dict(re.findall(r"^(spark\.afterglow\.\S+) +(\S+)", shipped, re.MULTILINE))
    assert {key: default for key, default, _ in rows if default} == defaults
    assert read_settings(defaults.get) == read_settings(lambda key: None)  # … and they are the hook's


def read_by_hook(properties: dict[str, str]) -> set[str]:
    asked: set[str] = set()

    def property_of(key: str) -> str | None:
        asked.add(key)
        return properties.get(key)

    assert read_settings(property_of).enabled
    return {key for key in asked if key.startswith("spark.afterglow.")}


def test_without_a_file_everything_is_in_the_home_folder(environ: dict[str, str], tmp_path: Path) -> None:
    settings = load_settings(environ)
    assert settings.store.url == f"sqlite:///{tmp_path}/store.db"
    assert settings.journal.folders == (f"{tmp_path}/journal",)
    assert settings.mlflow == ()


def test_the_file_wins_over_the_defaults_and_the_environment_over_the_file(environ: dict[str, str]) -> None:
    write(environ, '[store]\nurl = "sqlite:///here.db"\n[monitor]\nport = 9000\n')
    assert load_settings(environ).monitor.port == 9000
    assert load_settings(environ).store.url == "sqlite:///here.db"
    assert load_settings({**environ, "AFTERGLOW_STORE_URL": "sqlite:///there.db"}).store.url == "sqlite:///there.db"


def test_without_configured_servers_those_of_this_environment_are_read(environ: dict[str, str], tmp_path: Path) -> None:
    demo_database(tmp_path).parent.mkdir()
    demo_database(tmp_path).touch()
    found = load_settings({**environ, "MLFLOW_TRACKING_URI": "http://127.0.0.1:5000"}).mlflow
    assert [server.name for server in found] == ["default", "demo"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[store]\nurll = 'x'", r"there is no setting store\.urll"),
        ("[monitor]\nport = 'eight'", r"monitor\.port = 'eight'"),
        ("[sync]\ninterval_seconds = 0", r"sync\.interval_seconds = 0: .*greater than 0"),
        ("[[mlflow]]\nname = 'a'", r"mlflow\.0\.uri"),
        ("[store", "is no TOML"),
        ("[collector]\nsecrets = ['hunter2']", r"collector\.secrets: give env:NAME or file:PATH"),
        ("[[mlflow]]\nname = 'a'\nuri = 'http://h'\n" * 2, "mlflow: two of them have a"),
        (
            "[[mlflow]]\nname = 'a'\nuri = 'http://h'\n[[mlflow]]\nname = 'b'\nuri = 'http://h/'",
            "two of them have http://h",
        ),
    ],
)
def test_what_a_file_cannot_mean_is_refused_by_its_name_and_value(
    environ: dict[str, str], text: str, message: str
) -> None:
    write(environ, text)
    with pytest.raises(BadSettings, match=message) as raised:
        load_settings(environ)
    assert "afterglow.toml" in str(raised.value)


def test_a_named_file_that_is_not_there_is_an_error_and_not_the_defaults(environ: dict[str, str]) -> None:
    with pytest.raises(BadSettings, match="cannot be read"):
        load_settings({**environ, "AFTERGLOW_CONFIG": "/nowhere/afterglow.toml"})


@pytest.mark.parametrize(
    "said",
    [
        "uri = 'http://me:hush@h'",
        "uri = 'http://h'\ncredentials = 'me:hush'",
        "uri = 'h'\ndatabase = 'postgresql://me:hush@h/d'",
    ],
)
def test_a_password_in_the_file_is_refused_and_not_told(environ: dict[str, str], said: str) -> None:
    write(environ, f"[[mlflow]]\nname = 'a'\n{said}")
    with pytest.raises(BadSettings, match=r"mlflow\.0\.\w+: .*credentials|env:NAME or file:PATH") as raised:
        load_settings(environ)
    assert "hush" not in str(raised.value)


def test_credentials_and_a_database_are_read_from_where_the_file_says(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "database").write_text("postgresql://me:hush@h/d\n")
    write(
        environ, f"[[mlflow]]\nname='a'\nuri='https://h:5'\ncredentials='env:TEAM'\ndatabase='file:{tmp_path}/database'"
    )
    [server] = load_settings(environ).mlflow
    assert "hush" not in repr(server)
    with pytest.raises(BadSettings, match=r"mlflow\.a\.credentials = 'env:TEAM': there is no TEAM"):
        server.client_uri()
    monkeypatch.setenv("TEAM", "me:hu/sh@")
    assert server.client_uri() == "https://me:hu%2Fsh%40@h:5"
    assert server.database_url() == "postgresql://me:hush@h/d"


@pytest.mark.parametrize("secret", ["", "short", "has a space in the middle"])
def test_a_secret_of_the_collector_that_is_missing_or_weak_is_refused_and_not_told(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    write(environ, "[collector]\nsecrets = ['env:ITS_SECRET']")
    monkeypatch.setenv("ITS_SECRET", secret)
    with pytest.raises(BadSettings, match=r"collector\.secrets.*env:ITS_SECRET") as raised:
        load_settings(environ).collector.read_secrets()
    assert not secret or secret not in str(raised.value)

"""The server's settings: one frozen object, read once from afterglow.toml, loud about what it cannot mean.

Where: AFTERGLOW_CONFIG, else afterglow.toml in AFTERGLOW_HOME (~/.afterglow). AFTERGLOW_STORE_URL wins over store.url.
conf/afterglow.toml lists every setting with its default.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from afterglow_monitor.errors import BadSettings
from afterglow_monitor.secrets import has_password, is_reference, read_secret, with_credentials
from afterglow_store.errors import BadFilter
from afterglow_store.filters import parse
from afterglow_store.filters.tokens import in_backticks

ROLES = ("viewer", "editor", "admin")  # each may what those before it may

_SECRET = re.compile(r"[!-~]{16,}")
_SAFE = re.compile(r"https://[^/]|http://(?:localhost|127\.0\.0\.1|\[::1\])(?:[:/]|$)")


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _references(said: tuple[str, ...]) -> tuple[str, ...]:
    if not all(is_reference(each) for each in said):
        raise PydanticCustomError("secret", "give env:NAME or file:PATH for each, where the secret is")
    return said


class StoreSettings(_Section):
    url: str = "sqlite:///{home}/store.db"
    keep_days: float = Field(default=400, ge=0)


class MonitorSettings(_Section):
    address: str = "127.0.0.1"
    port: int = Field(default=8501, ge=1, le=65535)
    url: str = ""
    history_server: str = ""
    read_only: bool = False

    @field_validator("history_server")
    @classmethod
    def _is_an_address(cls, said: str) -> str:
        if said and not said.startswith(("http://", "https://")):
            raise PydanticCustomError("plain", "has to begin with http:// or https://")
        return said


class JournalSettings(_Section):
    folders: tuple[str, ...] = ("{home}/journal",)
    poll_seconds: float = Field(default=0.25, gt=0)


class EventLogSettings(_Section):
    folders: tuple[str, ...] = ()
    poll_seconds: float = Field(default=10.0, gt=0)


class CollectorSettings(_Section):
    """What drivers that share no folder with the server may send. `secrets` names where each of them is."""

    secrets: tuple[str, ...] = ()
    requests_per_second: float = Field(default=20.0, gt=0)
    megabytes_per_second: float = Field(default=32.0, gt=0)

    @field_validator("secrets")
    @classmethod
    def _by_reference(cls, said: tuple[str, ...]) -> tuple[str, ...]:
        return _references(said)

    def read_secrets(self) -> tuple[str, ...]:
        """The secrets themselves. Raises BadSettings when one is not there, or short enough to be guessed."""
        found = tuple(read_secret(each, "collector.secrets") for each in self.secrets)
        for said, secret in zip(self.secrets, found, strict=True):
            if not _SECRET.fullmatch(secret):
                raise BadSettings(f"collector.secrets: {said!r} has to be 16 characters or more, ASCII without spaces")
        return found


class SignInSettings(_Section):
    """How people sign in: at an OIDC provider, through Streamlit. Without a `provider` nobody can."""

    provider: str = ""
    client_id: str = ""
    client_secret: str = ""
    url: str = ""
    cookie_secret: str = ""
    scopes: str = "openid email profile"
    name: str = Field(default="email", min_length=1)
    login: str = "preferred_username"
    groups: str = "groups"
    admins: tuple[str, ...] = ()
    editors: tuple[str, ...] = ()
    viewers: tuple[str, ...] = ()
    default_role: Literal["viewer", "editor", "none"] = "viewer"
    hours: float = Field(default=12.0, gt=0)

    @property
    def configured(self) -> bool:
        return bool(self.provider)

    @field_validator("provider", "url")
    @classmethod
    def _safe(cls, said: str) -> str:
        if said and not _SAFE.match(said):
            raise PydanticCustomError("plain", "has to begin with https://: what is sent there lets people in")
        return said.rstrip("/")

    @field_validator("client_secret", "cookie_secret")
    @classmethod
    def _by_reference(cls, said: str) -> str:
        if said and not is_reference(said):
            raise PydanticCustomError("secret", "give env:NAME or file:PATH, where the secret is")
        return said

    @model_validator(mode="after")
    def _whole(self) -> SignInSettings:
        needed = {"provider": self.provider, "client_id": self.client_id, "client_secret": self.client_secret}
        missing = [name for name, said in {**needed, "url": self.url}.items() if not said]
        if 0 < len(missing) < len(needed) + 1:
            raise PydanticCustomError("whole", "needs {names} as well", {"names": ", ".join(missing)})
        return self


class VisibleRule(_Section):
    """What those see that `who` names: the runs for which all holds that is given, by patterns with * and ?."""

    who: tuple[str, ...] = Field(min_length=1)
    experiments: tuple[str, ...] | None = None
    workspaces: tuple[str, ...] | None = None
    users: tuple[str, ...] | None = None
    own: bool = False


class SyncSettings(_Section):
    interval_seconds: float = Field(default=1.0, gt=0)
    recent_days: float = Field(default=7.0, gt=0)
    recent_interval_seconds: float = Field(default=30.0, gt=0)
    sweep_interval_seconds: float = Field(default=3600.0, gt=0)
    share: float = Field(default=0.05, gt=0, le=1)


class StatusSettings(_Section):
    grace_seconds: float = Field(default=120.0, gt=0)


class LogSettings(_Section):
    format: Literal["text", "json"] = "text"
    level: Literal["debug", "info", "warning", "error"] = "info"


class PriceRule(_Section):
    """What a core costs for an hour in the applications for which all holds that is given, by patterns with * and ?."""

    core_hour: float = Field(ge=0)
    masters: tuple[str, ...] | None = None
    users: tuple[str, ...] | None = None
    applications: tuple[str, ...] | None = None


class CostSettings(_Section):
    """The first of `prices` that fits an application is its; `core_hour` is that of all others."""

    currency: str = ""
    core_hour: float = Field(default=0.0, ge=0)
    prices: tuple[PriceRule, ...] = ()

    @property
    def known(self) -> bool:
        return bool(self.core_hour or self.prices)


class MlflowServer(_Section):
    """A tracking server to sync. `aliases`: other URIs of the same server, as jobs may know it. `database`: MLflow's
    own, read directly where it is given. `credentials`, and `database` too, may name where they are: see secrets.py."""

    name: str = Field(min_length=1)
    uri: str = Field(min_length=1)
    aliases: tuple[str, ...] = ()
    credentials: str = ""
    database: str = ""

    @field_validator("uri")
    @classmethod
    def _without_password(cls, uri: str) -> str:
        if has_password(uri):
            raise PydanticCustomError("secret", "a password has no place here: name it in credentials")
        return uri

    @field_validator("credentials")
    @classmethod
    def _by_reference(cls, said: str) -> str:
        if said and not is_reference(said):
            raise PydanticCustomError("secret", "give env:NAME or file:PATH, where USER:PASSWORD is")
        return said

    @field_validator("database")
    @classmethod
    def _database_without_password(cls, said: str) -> str:
        if not is_reference(said) and has_password(said):
            raise PydanticCustomError("secret", "a URL with a password has no place here: give env:NAME or file:PATH")
        return said

    def client_uri(self) -> str:
        """The URI with the credentials in it, for MLflow's client alone. Raises BadSettings when they are not there."""
        return with_credentials(self.uri, read_secret(self.credentials, f"mlflow.{self.name}.credentials"))

    def database_url(self) -> str:
        """The database's URL, perhaps with a password; '' without one. Raises BadSettings when it is not there."""
        return read_secret(self.database, f"mlflow.{self.name}.database")


RUN_EVENTS = ("run failed", "run orphaned", "run suspect", "metric")


class AlertRule(_Section):
    """What is told, and where. `to` names where each address is; `filter` which runs, for events of runs."""

    name: str = Field(min_length=1, max_length=80)
    when: Literal[
        "run failed", "run orphaned", "run suspect", "metric", "application failed", "application lost",
        "series anomaly", "tracking server unreachable",
    ]  # fmt: skip
    to: tuple[str, ...] = Field(min_length=1)
    filter: str = ""
    metric: str = ""
    above: float | None = None
    below: float | None = None
    quiet_minutes: float = Field(default=10.0, ge=0)

    @field_validator("to")
    @classmethod
    def _by_reference(cls, said: tuple[str, ...]) -> tuple[str, ...]:
        if not all(is_reference(each) for each in said):
            raise PydanticCustomError("secret", "give env:NAME or file:PATH for each, where the address is")
        return said

    @model_validator(mode="after")
    def _fits(self) -> AlertRule:
        said = [each for each in (self.metric or None, self.above, self.below) if each is not None]
        if len(said) != (2 if self.when == "metric" else 0) or (said and not self.metric):
            raise PydanticCustomError("rule", "`metric`, with `above` or `below`, belongs to when = 'metric'")
        if self.filter and self.when not in RUN_EVENTS:
            raise PydanticCustomError("rule", "`filter` chooses among runs: {when} is of none", {"when": self.when})
        try:
            parse(self.runs_filter or "run_id != ''", "runs", now=0)
        except BadFilter as exc:
            raise PydanticCustomError("rule", "filter: {why}", {"why": str(exc)}) from exc
        return self

    @property
    def runs_filter(self) -> str:
        """Of which runs it is told, in the language of filters; '' of all."""
        if self.when != "metric":
            return self.filter
        sign, limit = (">", self.above) if self.above is not None else ("<", self.below)
        past = f"metrics.{in_backticks(self.metric)} {sign} {limit!r}"
        return f"({self.filter}) AND {past}" if self.filter else past

    def read_target(self, reference: str) -> str:
        """The address itself. Raises BadSettings when it is not there."""
        return read_secret(reference, f"alerts.{self.name}.to")


class Settings(_Section):
    home: Path
    store: StoreSettings = StoreSettings()
    monitor: MonitorSettings = MonitorSettings()
    journal: JournalSettings = JournalSettings()
    event_logs: EventLogSettings = EventLogSettings()
    collector: CollectorSettings = CollectorSettings()
    sign_in: SignInSettings = SignInSettings()
    sync: SyncSettings = SyncSettings()
    status: StatusSettings = StatusSettings()
    cost: CostSettings = CostSettings()
    visible: tuple[VisibleRule, ...] = ()
    log: LogSettings = LogSettings()
    mlflow: tuple[MlflowServer, ...] = ()
    alerts: tuple[AlertRule, ...] = ()

    @field_validator("alerts")
    @classmethod
    def _each_name_once(cls, rules: tuple[AlertRule, ...]) -> tuple[AlertRule, ...]:
        for name, times in Counter(each.name for each in rules).items():
            if times > 1:
                raise PydanticCustomError("twice", "two of them have {value}", {"value": name})
        return rules

    @model_validator(mode="after")
    def _seen_by_somebody(self) -> Settings:
        if self.visible and not self.sign_in.configured:
            raise PydanticCustomError("whole", "[[visible]] means people who sign in: set up [sign_in]")
        return self

    @field_validator("mlflow")
    @classmethod
    def _each_once(cls, servers: tuple[MlflowServer, ...]) -> tuple[MlflowServer, ...]:
        names = Counter(each.name for each in servers)
        uris = Counter(uri for each in servers for uri in {one.rstrip("/") for one in (each.uri, *each.aliases)})
        for value, times in (names + uris).items():
            if times > 1:
                raise PydanticCustomError("twice", "two of them have {value}", {"value": value})
        return servers


def load_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings of this environment. Raises BadSettings, which names the file, the setting and its value."""
    home = Path(environ.get("AFTERGLOW_HOME") or "~/.afterglow").expanduser().absolute()
    named = environ.get("AFTERGLOW_CONFIG")
    file = Path(named).expanduser() if named else home / "afterglow.toml"
    said = _read(file) if named or file.exists() else {}
    try:
        settings = Settings.model_validate({**said, "home": home})
    except ValidationError as exc:
        raise BadSettings(f"{file}: {_first_error(exc)}") from exc
    return _resolve(settings, environ)


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as exc:
        raise BadSettings(f"the settings file {file} cannot be read: {exc}") from exc
    except tomllib.TOMLDecodeError as exc:
        raise BadSettings(f"the settings file {file} is no TOML: {exc}") from exc


def _first_error(exc: ValidationError) -> str:
    error = exc.errors()[0]
    where = ".".join(str(part) for part in error["loc"])
    if error["type"] in ("secret", "twice", "whole", "rule"):  # what it was is not told
        return f"{where}: {error['msg']}"
    if error["type"] == "extra_forbidden":
        return f"there is no setting {where}; conf/afterglow.toml lists them all"
    return f"{where} = {error['input']!r}: {error['msg']}"


def _resolve(settings: Settings, environ: Mapping[str, str]) -> Settings:
    """Put the home folder into the paths, and in the servers that everyone has without saying so."""
    home = str(settings.home)
    url = environ.get("AFTERGLOW_STORE_URL") or settings.store.url.replace("{home}", home)
    at_home = {
        name: section.model_copy(update={"folders": tuple(each.replace("{home}", home) for each in section.folders)})
        for name, section in (("journal", settings.journal), ("event_logs", settings.event_logs))
    }
    return settings.model_copy(
        update={
            "store": settings.store.model_copy(update={"url": url}),
            **at_home,
            "mlflow": settings.mlflow or _default_servers(settings.home, environ),
        }
    )


def _default_servers(home: Path, environ: Mapping[str, str]) -> tuple[MlflowServer, ...]:
    """Without any [[mlflow]]: the server that this environment's MLflow uses, and the demo's if it was run here."""
    found = []
    if uri := environ.get("MLFLOW_TRACKING_URI"):
        found.append(MlflowServer(name="default", uri=uri))
    if demo_database(home).exists():
        found.append(demo_server(home))
    return tuple(found)


def demo_server(home: Path) -> MlflowServer:
    return MlflowServer(name="demo", uri=f"sqlite:///{demo_database(home)}")


def demo_database(home: Path) -> Path:
    return home / "demo" / "mlflow.db"

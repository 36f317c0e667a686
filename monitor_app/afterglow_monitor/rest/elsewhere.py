"""Routes under /api/v1 that have files of their own, described beside the others: the collector, and whole lists."""

from __future__ import annotations

from afterglow_monitor.rest.declared import Operation, Param, Row
from afterglow_monitor.rest.schemas import ref, text

_UUID = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
_JOURNAL = Param("journal", {"type": "string", "pattern": _UUID}, "the journal's name", where="path", required=True)
_OFFSET = Param(
    "offset", {"type": "integer", "minimum": 0, "maximum": 10**15 - 1}, "where the chunk begins, in bytes",
    required=True,
)  # fmt: skip
_REFUSED = {
    "400": "A name, an offset or a body that cannot be read.",
    "401": "A secret of the collector is missing or wrong.",
    "403": "Without collector.secrets journals are taken from the server's own machine only.",
    "405": "Only GET, HEAD and PUT.",
    "408": "The body took too long.",
    "413": "The body is too long.",
    "415": "Content-Encoding is neither gzip nor identity.",
    "422": "What was sent turns out to be no journal.",
    "429": "Too much at once: wait as long as Retry-After says.",
    "503": "The store cannot be reached.",
}


def _answers(*, put: bool) -> Row:
    schema = {"application/json": {"schema": ref("Position")}}
    header = {"Afterglow-Offset": {"schema": text(), "required": True, "description": "the same as `offset`"}}
    found = {"200": {"description": "How much of the journal is here.", "headers": header, "content": schema}}
    if put:
        found["409"] = {"description": "The next chunk begins elsewhere.", "headers": header, "content": schema}
    wrong = {"application/json": {"schema": ref("JournalError")}}
    found["404"] = {"description": "That is no name.", "content": {"application/json": {"schema": ref("Error")}}}
    return found | {code: {"description": said, "content": wrong} for code, said in _REFUSED.items()}


_BODY = {
    "required": False,
    "description": "Bytes of the journal from `offset` on, at most 8 MiB; perhaps packed: Content-Encoding: gzip.",
    "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
}

_WORDS = (
    Param("format", {"type": "string", "enum": ["csv", "json", "parquet"], "default": "csv"}, "of the file"),
    *(
        Param(name, {"type": "string"}, said)
        for name, said in (
            ("filter", "as in the filter line of Monitor"),
            ("q", "a part of a name or id"),
            ("window", "1h, 24h, 7d, 30d, 90d, all, or custom: with `from` and `to`"),
            ("from", "a time"),
            ("to", "a time"),
            ("sort", "a column, with - before it: the largest first"),
            ("of", "of an experiment, by its name"),
            ("app", "of an application, by its name"),
            ("server", "a tracking server"),
            ("experiment", "of runs: the id of theirs, with `server`"),
            ("unlinked", "`yes`: of runs those without an application"),
            ("active", "`yes`: of applications and runs also those that began before the window"),
        )
    ),
    *(
        Param(name, {"type": "array", "items": {"type": "string"}}, "may be repeated")
        for name in ("status", "user", "master")
    ),
)
_FILE = {
    "description": "All rows of the list.",
    "content": {
        "application/json": {"schema": {"type": "array", "items": {"type": "object"}}},
        "text/csv": {"schema": text()},
        "application/vnd.apache.parquet": {"schema": {"type": "string", "format": "binary"}},
    },
}


def _wrong(codes: dict[str, str]) -> Row:
    always = {"401": "The token is not known.", "403": "Who asks may not.", "405": "Only GET and HEAD."}
    content = {"application/json": {"schema": ref("Error")}}
    return {code: {"description": said, "content": content} for code, said in (always | codes).items()}


def _export(what: str) -> Operation:
    codes = {"400": "A filter that cannot be read.", "404": "There is no such format.",
             "503": "The search took too long."}  # fmt: skip
    return Operation(
        f"/{what}/export", f"export_{what}", f"All {what} as a file, by the words of a Monitor page's address", "",
        params=_WORDS, about={"responses": {"200": _FILE, **_wrong(codes)}},
    )  # fmt: skip


_RUN_FILE = Operation(
    "/runs/{run_id}/files/{path}", "get_run_file", "A file of a run, by its path among the run's `outputs`", "",
    params=(
        Param("run_id", text(), "MLflow's id of the run", where="path", required=True),
        Param("path", text(), "with slashes as they are", where="path", required=True),
        Param("download", {"type": "string", "enum": ["1"]}, "as an attachment"),
    ),
    about={"responses": {
        "200": {"description": "The file, by its own type.", "content": {"*/*": {"schema": {}}}},
        **_wrong({"404": "The run has no such file.", "502": "MLflow does not give it.",
                  "503": "The store cannot be reached."}),
    }},
)  # fmt: skip

ELSEWHERE = (
    _RUN_FILE,
    *map(_export, ("applications", "experiments", "runs")),
    Operation(
        "/journals/{journal}", "get_journal", "How much of a journal the collector has", "Position",
        params=(_JOURNAL,), about={"responses": _answers(put=False)},
    ),
    Operation(
        "/journals/{journal}", "put_journal", "Send a chunk of a journal: docs/collector.md", "Position",
        params=(_JOURNAL, _OFFSET), method="put", about={"responses": _answers(put=True), "requestBody": _BODY},
    ),
)  # fmt: skip

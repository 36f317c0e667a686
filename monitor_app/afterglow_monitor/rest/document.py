"""The API in OpenAPI 3.1, made of the same declarations that serve it."""

from __future__ import annotations

from typing import Any

import afterglow
from afterglow_monitor.rest.declared import Operation, Param, Row
from afterglow_monitor.rest.elsewhere import ELSEWHERE
from afterglow_monitor.rest.operations import OPERATIONS
from afterglow_monitor.rest.schemas import SCHEMAS, ref, text

ABOUT = (
    "What Afterglow remembers of Spark applications and MLflow runs. Filters are those of docs/filters.md, windows "
    "those of the command line. A list is read page by page: give `next_page_token` as `page_token`, and all else as "
    "before."
)
_ERRORS = {
    "400": "A parameter that cannot be read: the message says which and where.",
    "401": "The token is not known, was revoked or has run out.",
    "403": "Who asks may not.",
    "404": "What is asked for is not in the store.",
    "405": "Only GET and HEAD.",
    "503": "The search took too long, or the store cannot be reached.",
}


def document() -> Row:
    paths: dict[str, Row] = {}
    for each in (*OPERATIONS, *ELSEWHERE):
        paths.setdefault(each.path, {})[each.method] = _operation(each)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Afterglow", "version": afterglow.__version__, "description": ABOUT},
        "servers": [{"url": "/api/v1"}],
        "paths": paths,
        "components": {"schemas": SCHEMAS},
    }


def _operation(operation: Operation) -> Row:
    return {
        "operationId": operation.name,
        "summary": operation.summary,
        "parameters": [_parameter(each) for each in operation.params],
        **(operation.about or {"responses": {"200": _ok(operation), "304": _unchanged(), **_errors(operation)}}),
    }


def _parameter(param: Param) -> Row:
    return {
        "name": param.name,
        "in": param.where,
        "required": param.required,
        "description": param.description,
        "schema": param.schema,
    }


def _ok(operation: Operation) -> Row:
    tag = {"ETag": {"schema": text(), "required": True, "description": "for If-None-Match"}}
    return {"description": operation.summary, "headers": tag, "content": _json(operation.answer)}


def _unchanged() -> Row:
    return {"description": "Nothing has changed since the answer with the ETag of If-None-Match."}


def _errors(operation: Operation) -> Row:
    codes = dict(_ERRORS)
    if not any(each.where == "path" for each in operation.params) and operation.name != "search_snapshots":
        del codes["404"]
    return {code: {"description": said, "content": _json("Error")} for code, said in codes.items()}


def _json(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": ref(schema)}}

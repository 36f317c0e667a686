"""Every route of the REST API and every field of its answers, of the OpenAPI document that the server gives."""

from __future__ import annotations

from typing import Any

from afterglow_monitor.rest.document import document
from reference.markdown import code, page, paragraphs, prose, table

Json = dict[str, Any]
ABOUT = "`/api/v1/openapi.json`, to read. [rest.md](../rest.md) says how to ask: windows, filters, pages, answers."


def rest() -> str:
    described = document()
    operations = [
        _operation(method, path, operation)
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    ]
    records = [_record(name, schema) for name, schema in described["components"]["schemas"].items()]
    return page("REST, route by route", ABOUT, "## Routes", *operations, "## Answers", *records)


def _operation(method: str, path: str, operation: Json) -> str:
    rows = [(code(each["name"]), _type(each["schema"]), prose(each["description"])) for each in operation["parameters"]]
    return paragraphs(
        f"### {method.upper()} {path}".replace("{", "&#123;"),
        f"{prose(operation['summary'])}. Answers {_answer(operation)}.",
        table(["parameter", "form", "meaning"], rows) if rows else "",
    )


def _answer(operation: Json) -> str:
    found = [each["schema"] for each in operation["responses"]["200"]["content"].values()]
    return " or ".join(dict.fromkeys(_type(each) for each in found))


def _record(name: str, schema: Json) -> str:
    rows = [(code(key), _type(each), prose(each.get("description", ""))) for key, each in schema["properties"].items()]
    return paragraphs(f"### {name}", prose(schema.get("description", "")), table(["field", "form", "meaning"], rows))


def _type(schema: Json) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    if "enum" in schema:
        return " or ".join(code(str(each)) for each in schema["enum"])
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(_type(each) for each in choices)
    if isinstance(of := schema.get("additionalProperties"), dict):
        return f"object of {_type(of)}"
    return _plain(schema)


def _plain(schema: Json) -> str:
    types = schema.get("type", "anything")
    named = " or ".join([types] if isinstance(types, str) else types)
    return "file" if schema.get("format") == "binary" else named.replace("string", schema.get("format", "text"))

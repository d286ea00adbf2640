"""Writes the generated parts of the documentation anew: the tables in protocol.md, and openrpc.json.

    python docs/generate.py            # or: make docs

A generated part stands between `<!-- generated: NAME -->` and `<!-- end -->`; what is around it is written by hand and kept.
A test compares what is committed with what this gives.
"""

import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from marathond.domain.entries import SESSION_KINDS, SYSTEM_KINDS, Body
from marathond.domain.errors import REGISTRY
from marathond.server import openrpc

DOCS = Path(__file__).resolve().parent
PAGE = DOCS / "protocol.md"
OPENRPC = DOCS / "openrpc.json"

_PART = re.compile(r"(<!-- generated: (?P<name>[a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_PLAIN = {"string": "text", "integer": "integer", "boolean": "boolean", "number": "number", "null": "null"}

Schema = dict[str, Any]


def page(text: str) -> str:
    """The page with all generated parts as they should be. Raises KeyError for a part that nobody generates."""
    return _PART.sub(lambda part: f"{part[1]}\n{PARTS[part['name']]()}\n{part[3]}", text)


def main() -> None:
    """Writes both files."""
    PAGE.write_text(page(PAGE.read_text()))
    OPENRPC.write_bytes(openrpc.text())


# --- methods --------------------------------------------------------------------------------------------


def _method_list() -> str:
    """One line for each method."""
    rows = [
        [f"[`{m['name']}`](#{_anchor(m['name'])})", m["summary"], _inside(m)] for m in openrpc.document()["methods"]
    ]
    return _table(["method", "what it does", "inside an attempt"], rows)


def _methods() -> str:
    """A section for each method: words, params, result, errors."""
    return "\n".join(_method(method) for method in openrpc.document()["methods"])


def _method(method: Schema) -> str:
    params = [
        [f"`{p['name']}`" + ("" if p["required"] else "?"), _type(p["schema"]), _about(p["schema"])]
        for p in method["params"]
    ]
    usual = {"invalid_params", "internal", "not_permitted", "stopping", "storage"}
    errors = [name for error in method["errors"] if (name := error["$ref"].rsplit("/")[-1]) not in usual]
    lines = [f"### {method['name']}", "", method["summary"], "", _joined(method["description"]), ""]
    lines += [_table(["param", "type", ""], params)] if params else []
    lines += [f"Result: {_result(method['result']['schema'])}", ""]
    lines += [f"Errors: {', '.join(f'`{slug}`' for slug in errors)}", ""] if errors else []
    return "\n".join(lines)


def _inside(method: Schema) -> str:
    return "yes" if method["x-inside-an-attempt"] else ""


def _result(schema: Schema) -> str:
    if "$ref" in schema:
        shape = _shape(schema)
        told = f" {_joined(shape['description'])}" if shape.get("description") else ""
        return f"`{{{', '.join(shape['properties'])}}}`, see [`{shape['title']}`](#{_anchor(shape['title'])}).{told}"
    return f"{_type(schema)}."


def _shapes() -> str:
    """A table of fields for each object that a result is made of."""
    results = [m["result"]["schema"] for m in openrpc.document()["methods"]]
    results += [notice["params"] for notice in openrpc.document()["x-notifications"]]
    seen: dict[str, Schema] = {}
    for schema in results:
        _collect(schema, seen)
    return "\n".join(_shape_table(name, seen[name]) for name in sorted(seen))


def _collect(schema: Any, seen: dict[str, Schema]) -> None:
    """Every named object that `schema` refers to, also through others."""
    if isinstance(schema, dict):
        if "$ref" in schema and (shape := _shape(schema))["title"] not in seen:
            seen[shape["title"]] = shape
            _collect(shape, seen)
        for value in schema.values():
            _collect(value, seen)
    elif isinstance(schema, list):
        for value in schema:
            _collect(value, seen)


def _shape_table(name: str, shape: Schema) -> str:
    needed = set(shape.get("required", ()))
    rows = [[f"`{f}`" + ("" if f in needed else "?"), _type(s), _about(s)] for f, s in shape["properties"].items()]
    return "\n".join(
        [f"### {name}", "", _joined(shape.get("description", "")), "", _table(["field", "type", ""], rows)]
    )


def _shape(schema: Schema) -> Schema:
    found: Schema = openrpc.document()["components"]["schemas"][schema["$ref"].rsplit("/")[-1]]
    return found


def _notifications() -> str:
    rows = [
        [f"`{n['name']}`", n["summary"], f"[`{(t := _shape(n['params'])['title'])}`](#{_anchor(t)})"]
        for n in openrpc.document()["x-notifications"]
    ]
    return _table(["notification", "", "params"], rows)


# --- entries --------------------------------------------------------------------------------------------


def _kinds(kinds: dict[str, type[Body]]) -> str:
    """A row for each kind of entry: its name, what it means, its body."""
    _, components = msgspec.json.schema_components(list(kinds.values()), ref_template="#/{name}")
    rows = []
    for kind, body in kinds.items():
        schema = components[body.__name__]
        needed = set(schema.get("required", ()))
        fields = [f"`{f}`{'' if f in needed else '?'} {_type(s)}" for f, s in schema["properties"].items()]
        rows.append([f"`{kind}`", _joined(body.__doc__ or ""), "<br>".join(fields)])
    return _table(["kind", "meaning", "body"], rows)


# --- errors ---------------------------------------------------------------------------------------------


def _errors() -> str:
    rows = [
        [f"`{kind.slug}`", str(kind.code), str(kind.exit), _template(kind.message), _template(kind.hint)]
        for kind in sorted(REGISTRY.values(), key=lambda kind: -kind.code)
    ]
    return _table(["slug", "code", "exit", "message", "hint"], rows)


def _exits() -> str:
    by_exit: defaultdict[int, list[str]] = defaultdict(list)
    for kind in REGISTRY.values():
        by_exit[kind.exit].append(f"`{kind.slug}`")
    return _table(
        ["exit code", "errors that give it"], [[str(code), ", ".join(by_exit[code])] for code in sorted(by_exit)]
    )


def _template(text: str) -> str:
    """A message with its fields in the way people write places to fill in."""
    return re.sub(r"\{(\w+)(![rs])?\}", r"‹\1›", text)


# --- words ----------------------------------------------------------------------------------------------


def _type(schema: Schema) -> str:
    """A JSON Schema in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/")[-1]
        return f"`{name}`"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_type(option) for option in schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    kind = schema.get("type")
    if kind == "array":
        return f"list of {_type(schema['items'])}" if schema.get("items") else "list"
    if kind == "object":
        values = schema.get("additionalProperties")
        return f"object of {_type(values)}" if isinstance(values, dict) and values else "object"
    return _PLAIN.get(str(kind), "anything")


def _about(schema: Schema) -> str:
    """What the schema itself says about a value, and its default."""
    options = [schema, *schema.get("anyOf", ())]
    told = [option["description"] for option in options if "description" in option and "$ref" not in option]
    if "default" in schema and schema["default"] not in (None, [], {}):
        told.append(f"Default: `{msgspec.json.encode(schema['default']).decode()}`.")
    return _joined(" ".join(told))


def _joined(text: str) -> str:
    """A docstring as one paragraph."""
    return " ".join(text.split())


def _anchor(title: str) -> str:
    """The anchor that a heading gets."""
    return re.sub(r"[^a-z0-9_-]", "", title.lower().replace(" ", "-"))


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


PARTS: dict[str, Callable[[], str]] = {
    "method-list": _method_list,
    "methods": _methods,
    "notifications": _notifications,
    "shapes": _shapes,
    "session-kinds": lambda: _kinds(SESSION_KINDS),
    "system-kinds": lambda: _kinds(SYSTEM_KINDS),
    "errors": _errors,
    "exits": _exits,
}
"""Name of a generated part → what makes it."""

if __name__ == "__main__":
    main()

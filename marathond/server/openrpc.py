"""The OpenRPC document of the protocol, made from the table of methods and the registry of errors.

OpenRPC 1.3.2 (https://spec.open-rpc.org). What it has no words for is under `x-` members: notifications and the exit code that
the client gives for an error.
"""

import inspect
import sys
from functools import cache
from typing import Any

import msgspec

from marathond import __version__
from marathond.domain.errors import REGISTRY, ErrorKind
from marathond.server.method import ALWAYS_POSSIBLE, Method
from marathond.server.notifications import NOTIFICATIONS
from marathond.server.router import METHODS

_REF = "#/components/schemas/{name}"


@cache
def document() -> dict[str, Any]:
    """The document; treat it as read-only."""
    types = [t for method in METHODS.values() for t in (method.params, method.result)]
    types += [params for _, params in NOTIFICATIONS.values()]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    by_type = {id(t): schema for t, schema in zip(types, schemas, strict=True)}
    whole = {
        "openrpc": "1.3.2",
        "info": {
            "title": "Marathon",
            "description": "JSON-RPC 2.0 on a Unix socket; params by name only. See docs/protocol.md.",
            "version": __version__,
            "license": {"name": "MIT"},
        },
        "methods": [_describe(method, components, by_type) for method in METHODS.values()],
        "components": {"schemas": components, "errors": {slug: _error(kind) for slug, kind in REGISTRY.items()}},
        "x-notifications": [
            {"name": name, "summary": summary, "params": by_type[id(params)]}
            for name, (summary, params) in NOTIFICATIONS.items()
        ],
    }
    _clean_descriptions(whole)
    return whole


def _clean_descriptions(node: object) -> None:
    """Takes the indentation of docstrings out of descriptions."""
    if isinstance(node, dict):
        if isinstance(node.get("description"), str):
            node["description"] = inspect.cleandoc(node["description"])
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            _clean_descriptions(child)


def _describe(method: Method, components: dict[str, Any], by_type: dict[int, dict[str, Any]]) -> dict[str, Any]:
    params = components[method.params.__name__]
    required = set(params.get("required", ()))
    names = dict.fromkeys(slug for kind in (*method.errors, *ALWAYS_POSSIBLE) if (slug := kind.slug))
    return {
        "name": method.name,
        "summary": method.summary,
        "description": params["description"],
        "paramStructure": "by-name",
        "params": [
            {"name": name, "required": name in required, "schema": schema}
            for name, schema in params["properties"].items()
        ],
        "result": {"name": "result", "schema": by_type[id(method.result)]},
        "errors": [{"$ref": f"#/components/errors/{slug}"} for slug in names],
        "x-inside-an-attempt": method.inside,
    }


def _error(kind: ErrorKind) -> dict[str, Any]:
    return {
        "code": kind.code,
        "message": kind.message,
        "data": {"slug": kind.slug, "hint": kind.hint, "exit": kind.exit},
    }


def text() -> bytes:
    """The document as it is committed in docs/openrpc.json."""
    return msgspec.json.format(msgspec.json.encode(document()), indent=2) + b"\n"


if __name__ == "__main__":
    sys.stdout.buffer.write(text())

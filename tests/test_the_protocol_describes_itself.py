"""The OpenRPC document: committed, complete, and true to what the server accepts."""

from pathlib import Path

import jsonschema
import msgspec
import pytest

from marathond.domain.errors import REGISTRY
from marathond.server.notifications import NOTIFICATIONS
from marathond.server.openrpc import document, text
from marathond.server.router import METHODS
from tests.support.memory_services import MemoryServices, connect, serving

COMMITTED = Path(__file__).resolve().parents[1] / "docs" / "openrpc.json"


def test_the_committed_document_is_the_current_one() -> None:
    """docs/openrpc.json is what the table of methods gives (`python -m marathond.server.openrpc > docs/openrpc.json`)."""
    assert COMMITTED.read_bytes() == text()


def test_every_method_error_and_notification_is_described() -> None:
    """Nothing is missing, nothing is left without words, and every reference leads somewhere."""
    doc = document()
    assert [method["name"] for method in doc["methods"]] == list(METHODS)
    assert set(doc["components"]["errors"]) == set(REGISTRY)
    assert {notification["name"] for notification in doc["x-notifications"]} == set(NOTIFICATIONS)
    for method in doc["methods"]:
        assert method["summary"].endswith(".")
        assert method["description"]
        for error in method["errors"]:
            assert error["$ref"].rsplit("/")[-1] in REGISTRY
    for name, schema in doc["components"]["schemas"].items():
        assert schema.get("description"), name


@pytest.mark.parametrize("name", list(METHODS))
def test_params_of_the_document_and_of_the_server_agree(name: str) -> None:
    """A params object that the schema refuses is refused by the server's types too, and the other way round."""
    params = METHODS[name].params
    doc = document()
    schema = {**doc["components"]["schemas"][params.__name__], "components": doc["components"]}
    samples: list[object] = [
        {},
        {"unknown": 1},
        *(
            {field: value}
            for field in params.__struct_fields__
            for value in (None, 1, -1, "x", "/x", "", [], ["a"], {}, True, "yes")
        ),
    ]
    needed = {
        "session": "x",
        "task": "t",
        "answer": "yes",
        "limits": {},
        "subscription": 1,
        "text": "t",
        "question": "q",
        "path": "/p",
    }
    base = {field: needed[field] for field in schema.get("required", ())}
    for sample in [*samples, *({**base, **sample} for sample in samples if isinstance(sample, dict))]:
        by_schema = jsonschema.Draft202012Validator(schema).is_valid(sample)
        try:
            msgspec.convert(sample, params)
            by_type = True
        except msgspec.ValidationError:
            by_type = False
        assert by_schema == by_type, sample


@pytest.mark.anyio
async def test_discover_gives_the_document(tmp_path: Path) -> None:
    """`rpc.discover` answers with the committed document."""
    async with serving(MemoryServices(), tmp_path / "s"):
        client = await connect(tmp_path / "s")
        assert (await client.call("rpc.discover"))["result"] == msgspec.json.decode(COMMITTED.read_bytes())
        await client.stream.aclose()

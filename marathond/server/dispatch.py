"""From one parsed message to one response, through jsonrpcserver.

jsonrpcserver calls the method and builds the response. Around it: messages come parsed and go out as values, so that each item of
a batch is judged for itself; the envelope is checked by msgspec; signatures are precomputed; and every handler is wrapped, so that
nothing but registered errors reaches a client (by itself the library would send the text of any exception).
"""

import difflib
import inspect
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Final, Literal, cast

import msgspec
from jsonrpcserver import JsonRpcError, Success, async_dispatch

from marathond.domain.errors import (
    INTERNAL,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    MarathonError,
)
from marathond.domain.limits import INTEGER_MAX
from marathond.server.method import Call, Method, Params
from marathond.server.notifications import error_data, error_object
from marathond.server.rights import Rights

_log = logging.getLogger("marathond.server")
_UNKNOWN_FIELD: Final = "Object contains unknown field `"

Id = Annotated[int, msgspec.Meta(ge=-INTEGER_MAX, le=INTEGER_MAX)] | Annotated[str, msgspec.Meta(max_length=256)] | None
Response = dict[str, Any]
Handler = Callable[..., Awaitable[Any]]


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The envelope of JSON-RPC 2.0, section 4. Without `id` it is a notification; a fraction or a boolean is no id."""

    jsonrpc: Literal["2.0"]
    method: Annotated[str, msgspec.Meta(max_length=256)]
    params: dict[str, Any] | list[Any] | msgspec.UnsetType = msgspec.UNSET
    id: Id | msgspec.UnsetType = msgspec.UNSET


class _Identified(msgspec.Struct):
    id: Id = None


def read_request(message: object) -> Request:
    """The envelope of a message. Raises INVALID_REQUEST with `request_id` set to what its answer should name."""
    try:
        return msgspec.convert(message, Request)
    except msgspec.ValidationError as exc:
        raise MarathonError(INVALID_REQUEST, reason=_reason(exc, ("jsonrpc", "method", "params", "id"))) from None


def id_of(message: object) -> int | str | None:
    """The id of a message that may be no request; None when it has none that is valid."""
    try:
        return msgspec.convert(message, _Identified).id
    except msgspec.ValidationError:
        return None


def failure(error: MarathonError, id_: int | str | None) -> Response:
    """An error response."""
    return {"jsonrpc": "2.0", "error": error_object(error), "id": id_}


class Dispatcher:
    """Answers requests by the table of methods."""

    def __init__(self, methods: Mapping[str, Method], rights: Rights) -> None:
        self._rights = rights
        self._table = _Table({method.name: self._wrap(method) for method in methods.values()})

    async def answer(self, message: dict[str, Any], call: Call) -> Response | None:
        """The response to a message whose envelope `read_request` accepted; None for a notification."""
        response = await async_dispatch(
            message, self._table, context=call, deserializer=_same, validator=_same, serializer=_same
        )
        return cast("Response", response) if response else None  # "" stands for no answer

    def _wrap(self, method: Method) -> Handler:
        fields = method.params.__struct_fields__

        async def run(call: Call, /, *positional: object, **params: object) -> Any:
            if positional:
                raise MarathonError(INVALID_PARAMS, method=method.name, reason="they are given by name, as an object")
            try:
                converted = msgspec.convert(params, method.params)
            except msgspec.ValidationError as exc:
                raise MarathonError(INVALID_PARAMS, method=method.name, reason=_reason(exc, fields)) from None
            allowed: Params = await self._rights.check(call.inside, method, converted)
            return msgspec.to_builtins(await method.handle(call, allowed))

        return _guard(run, method.name)


class _Table(dict[str, Handler]):
    """The wrapped handlers. An unknown name gets a handler too, one that says so: the library's own answer says less."""

    def __missing__(self, name: str) -> Handler:
        async def run(_call: Call, /, *_positional: object, **_params: object) -> Any:
            near = difflib.get_close_matches(name, self, n=1)
            suggestion = f"Did you mean {near[0]}?" if near else "rpc.discover lists all methods."
            raise MarathonError(METHOD_NOT_FOUND, method=name, suggestion=suggestion)

        return _guard(run, name)


def _guard(run: Handler, name: str) -> Handler:
    """The handler as jsonrpcserver wants it: a result or a JsonRpcError, and never the text of another exception."""

    async def guarded(call: Call, /, *positional: object, **params: object) -> Any:
        try:
            return Success(await run(call, *positional, **params))
        except MarathonError as exc:
            raise _as_json_rpc(exc) from None
        except Exception:  # noqa: BLE001 - whatever it is, it is logged and must not reach the client
            raise _as_json_rpc(incident(name)) from None

    guarded.__signature__ = _SIGNATURE  # type: ignore[attr-defined]
    return guarded


def incident(where: str) -> MarathonError:
    """Logs the exception that is being handled under a new incident id; the error to answer with names only that id."""
    number = secrets.token_hex(4)
    _log.exception("unforeseen failure", extra={"incident": number, "where": where})
    return MarathonError(INTERNAL, incident=number)


def _as_json_rpc(error: MarathonError) -> JsonRpcError:
    return JsonRpcError(error.kind.code, error.message, error_data(error))


def _reason(exc: msgspec.ValidationError, known: tuple[str, ...]) -> str:
    """msgspec's message, with the nearest right word for an unknown field."""
    text = str(exc)
    if text.startswith(_UNKNOWN_FIELD):
        field = text.removeprefix(_UNKNOWN_FIELD).split("`")[0]
        near = difflib.get_close_matches(field, known, n=1)
        return f"{text}; did you mean `{near[0]}`?" if near else text
    return text


def _same(value: Any) -> Any:
    return value


_SIGNATURE: Final = inspect.Signature(
    [
        inspect.Parameter("call", inspect.Parameter.POSITIONAL_ONLY),
        inspect.Parameter("positional", inspect.Parameter.VAR_POSITIONAL),
        inspect.Parameter("params", inspect.Parameter.VAR_KEYWORD),
    ]
)

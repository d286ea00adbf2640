"""rpc.discover: the protocol describes itself (OpenRPC 1.3.2)."""

from typing import Any

from marathond.server.method import Call, Method, Nothing


async def handle(call: Call, params: Nothing) -> dict[str, Any]:
    """The document that is made from the table of methods, this one included."""
    from marathond.server.openrpc import document  # the table that it is made from contains this method

    return document()


METHOD = Method(
    name="rpc.discover",
    summary="Describes every method, error and notification as an OpenRPC document.",
    params=Nothing,
    result=dict[str, Any],
    handle=handle,
)

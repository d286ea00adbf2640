"""The server's limits as one value, so that a test may set them small."""

from typing import NamedTuple

from marathond.domain.limits import (
    CONNECTIONS_MAX,
    CONNECTIONS_UNFINISHED_MAX,
    FRAME_UNFINISHED_SECONDS_MAX,
    REQUESTS_PENDING_MAX,
    SEND_QUEUE_BYTES_MAX,
)


class Bounds(NamedTuple):
    """`unfinished` counts connections that hold an unfinished frame, each for at most `unfinished_seconds`; `pending` is per connection."""

    connections: int = CONNECTIONS_MAX
    unfinished: int = CONNECTIONS_UNFINISHED_MAX
    unfinished_seconds: float = FRAME_UNFINISHED_SECONDS_MAX
    pending: int = REQUESTS_PENDING_MAX
    send_queue_bytes: int = SEND_QUEUE_BYTES_MAX

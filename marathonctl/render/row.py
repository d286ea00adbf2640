"""One entry as one line."""

import json
from typing import Any

from marathonctl.render.entries import sentence
from marathonctl.render.style import Style
from marathonctl.render.text import clock


def row_line(row: dict[str, Any], style: Style, *, with_stream: bool) -> str:
    """`seq  time  [stream]  sentence`; the stream is shown where entries of several are mixed."""
    record = json.loads(row["record"])
    stream = f"{record['stream'].removeprefix('session:'):<12}  " if with_stream else ""
    lead = f"{row['seq']:>6}  {clock(record['at'])}  {stream}"
    return style.paint(lead, "dim") + sentence(record["kind"], record["body"])

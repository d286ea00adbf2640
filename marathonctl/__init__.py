"""The Marathon client: a thin command line over the daemon's socket, and the same client for Python programs.

from marathonctl import Client

with Client() as client:
    print(client.call("session/list", all=True))
"""

from marathonctl.client import Client
from marathond import __version__

__all__ = ["Client", "__version__"]

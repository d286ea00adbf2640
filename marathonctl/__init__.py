"""The Marathon client: a thin command line over the daemon's socket."""

from marathond import __version__

__all__ = ["__version__"]

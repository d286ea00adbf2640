"""The Marathon daemon: runs long AI coding work durably on one machine."""

__version__ = "0.1.0"

"""The engine: decide → effects → entries, for every session of the box."""

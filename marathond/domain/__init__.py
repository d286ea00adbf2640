"""The pure core: no I/O, no clock, no randomness. A test walks the imports to keep it so."""

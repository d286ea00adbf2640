"""How each kind of entry changes a session: one table of handlers per subject. `evolve` is the way in."""

"""Layer 5: whether work is accepted. Deterministic code only."""

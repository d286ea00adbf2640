"""Delivery: what a session leaves behind for its user, for now a branch."""

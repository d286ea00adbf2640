"""Attempts: the supervisor under which an agent or a check runs, what it records, and how it is found again."""

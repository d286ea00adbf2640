"""The supervisor: a small program that runs one job and outlives the daemon that started it.

Standard library only, and nothing of Marathon but its neighbours in `marathond.attempt` and `marathond.domain.limits`.
Read `main.py` first: the life of a supervisor from its lock to its exit record.
"""

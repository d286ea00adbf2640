"""Agents as data: profiles, and readers of what each program prints; the scripted agent."""

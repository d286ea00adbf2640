"""What users see of a state: plain dicts in the form that docs/protocol.md gives. Pure but for the live words of an agent."""

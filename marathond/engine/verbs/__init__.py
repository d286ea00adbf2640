"""What users ask of the engine: one file per verb. Each is durable before it answers."""

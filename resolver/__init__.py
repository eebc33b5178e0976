"""The resolution service: one Answer, rendered by every front."""

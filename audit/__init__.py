"""The statutory logs: entries on their way from the workers to the sequencer."""

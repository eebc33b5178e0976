"""Upstream: everything that the national top-level node is owed (Measures art. 7), through any outage."""

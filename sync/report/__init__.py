"""The monthly report (national-node.md §3, annex 3): from entries of the published logs to figures and their forms."""

"""Grammars of identifiers: pure, total, bounded."""

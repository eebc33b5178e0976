"""Deposits with an escrow agent: what goes in, how it is sealed, how a node is made of them (annex 4)."""

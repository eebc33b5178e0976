"""Parties: the subject data of an enterprise or person (table T6), checked and sealed.

Pure: no socket, clock, random source or written file; the region table is read once, at import.
"""

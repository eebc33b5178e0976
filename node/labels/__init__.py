"""Carriers of codes: what a symbol holds, how it is drawn, sheets for an office printer, text for a label printer.

Nothing here reads a store or a setting: codes, address and GTIN are given. A text that cannot be carried is a
RecordError, one that has no room a LimitError.
"""

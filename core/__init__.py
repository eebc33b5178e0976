"""Ground floor: identifiers, wire codecs, records, store, errors, limits.

Nothing here imports a service. ``core.ident`` and ``core.wire`` are pure: no
socket, clock, file or random source.
"""

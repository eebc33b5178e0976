"""Wire codecs: bytes to value and back, pure, total and bounded.

``decode(bytes)`` gives a value or raises WireError, nothing else, and
``decode(encode(value)) == value``.
"""

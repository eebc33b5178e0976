"""Measurements of a running node, each beside a reference in the same run (``make bench``).

    python -m benchmarks [--quick | --full] [--only http|udp|tcp|load|flood|register|store]
                         [--json FILE] [--page FILE] [--folder DIR]

Every row prints the number measured, the reference beside it, and whether the floor
holds. Nothing here fails because of a time: a slow machine is no fault.
"""

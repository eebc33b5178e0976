"""The client that stays beside a packing line: it works a whole shift without the node.

``frames`` a numbered, checksummed line of a file; ``durable`` files that survive a loss
of power; ``shape`` a lot's index space; ``facts`` a line of a run's file; ``camera`` a line of the camera;
``carriers`` what it read from a bag; ``sightings`` codes in a line that was refused; ``codes`` the codes of a run;
``allocations`` who has which; ``printing`` what a line prints; ``intake``, ``words`` what a node says, checked and
printable; ``tally`` what happened to each code, and what is let in; ``batches`` facts as items of the node's call
(all of these but ``durable`` touch no file and no clock). ``client`` asks a node over HTTP; ``site`` is the folder of
a site, ``supply`` takes blocks from the node into it, ``run`` takes what the camera says, ``upload`` brings it to the
node, ``reconcile`` balances it.

Nothing here opens a store or reads a node's configuration. docs/how-to/packing-line.md is for its users.
"""

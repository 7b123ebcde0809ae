"""Guard packages that run offline, on the very rows that `plumbline evaluate` draws.

`rows` writes the rows, `scan` scores them in an environment of its own (`make peers`), `report` measures. Peers never
share an environment with Plumbline: their dependencies are their own affair.
"""

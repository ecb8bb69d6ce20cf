"""A synthetic plant that speaks real protocols, and a synthetic province around it.

`machines` says which machines there are, `physics` moves them through time (pure), `sensors` is what their transmitters
report of it, faults included. `opcua`, `modbus` and `sparkplug` put the signals on the wire, `erp` writes the office's
tables, `plant` is the process. `province` makes other enterprises' monthly figures. Everything is seeded, and every
name says that it is synthetic (合成). This room stands beside the others: it must know nothing of how data are
collected, stored or judged.
"""

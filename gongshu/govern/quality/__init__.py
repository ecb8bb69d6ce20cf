"""How good data are, by the six dimensions of GB/T 36344, from facts.

Each indicator is X = A / B with A and B counted, or not judged with a reason; a broken rule leaves findings, which
name places and times and never a value. A sensor that lies (stuck, drifting, spiking) is told apart from a plant that
stands still by what the other series of the same machine, and the same series of other machines, do.
"""

"""A local index of what chosen parties offer to this node: read politely, resumed after a kill, swapped as a whole.

`passes` decides (pure) · `sources` reads one page · `store` keeps · `crawler` puts them together · `driving` runs them
beside the served node · `search` finds by meaning. This area must not know how contracts are made.
"""

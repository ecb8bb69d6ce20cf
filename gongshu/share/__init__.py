"""Room two (共享): the data space. Data are offered under terms, negotiated, delivered and counted, peer to peer.

`dsp` speaks the Dataspace Protocol 2025-1 · `terms`, `odrl` and `policy` say what a contract allows · `engine`,
`reactor`, `outbox` and `watchdog` carry processes on · `delivery` serves, `pulling` fetches · `service.ShareService` is
the door for this node's own people. This room must not know the lake: rows come through `secure.gate` alone.
"""

"""The Decentralized Claims Protocol 1.0.1, as verifier and as holder: the scheme of identity `dcp`.

A party is its DID (did:web). It proves itself by a token that it signs itself, and by a membership credential of an
issuer that is registered here, fetched from its credential service and checked against the issuer's status list. This
folder must not know the data space protocol. Source: decision 0060.
"""

"""The official compatibility kit of the Decentralized Claims Protocol, run against our holder and verifier."""

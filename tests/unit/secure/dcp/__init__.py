"""The Decentralized Claims Protocol, as verifier and as holder."""

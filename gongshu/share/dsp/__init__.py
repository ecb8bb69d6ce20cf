"""The Dataspace Protocol 2025-1 on the wire: states, messages, schemas, catalogue. Pure but for `api.py`."""

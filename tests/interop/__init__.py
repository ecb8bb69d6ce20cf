"""A real Eclipse EDC connector and a real node exchange data in both directions; on request only (`make interop`)."""

"""Queries in a process of their own: DuckDB with no way out but the relations it was given.

The node plans (which files, which part of the log), the worker executes. Neither knows who asks or why: that is the
gate's. See docs/decisions/0007-a-worker-for-queries.md.
"""

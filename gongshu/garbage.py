"""How often a process of our own looks for garbage that only a search finds, which are objects that hold each other."""

import gc

NEW_OBJECTS = 10_000
"""Objects more than before that call for a search among the new ones; Python's own 700 come together every moment while
modules load. Loading a node's took a fifth less time, measured on this repository; the price is some megabytes."""


def search_rarely() -> None:
    """Search among new objects every ten thousand of them. Called first thing in processes of our own."""
    gc.set_threshold(NEW_OBJECTS, *gc.get_threshold()[1:])

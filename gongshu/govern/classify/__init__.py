"""What data are and how careful to be with them, proposed from names, units, access and values, with reasons.

Pure rules; words, weights and assumed facts come from packs. A word counts whole, never as a part of another, and
numbers alone are never a telephone number. Nothing here decides: a steward does.
"""

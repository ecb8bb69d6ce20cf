"""The multi-level centre: a plant joins a province, reports under an agreement, and the province adds up.

`period` and `model` are the nouns, `canonical` the one byte form that is signed, `judging` decides whether a report is
accepted, `disclosure` which cells of a table may be shown, `releases` which reports a publication counts and how they
add up. `membership`, `reporting` and `province` are the three shells, and `service` joins them. This room must not know
how data are collected or stored: it reads through the gate alone.
"""

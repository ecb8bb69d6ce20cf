"""Identifiers, one type for each noun, so that a checker finds two of them swapped."""

from typing import NewType

SeriesId = NewType("SeriesId", int)
"""A positive int32, given at first sight and never reused."""

AssetId = NewType("AssetId", str)
"""The asset's path in the equipment tree, `/`-separated, site first: `plant-1/line-2/mill-03`."""

SourceId = NewType("SourceId", str)
"""The name its owner gave the source: lower-case letters, digits and hyphens."""

DatasetId = NewType("DatasetId", str)
"""Also the dataset's name in SQL: lower-case letters, digits and underscores, at most 63."""

PartyId = NewType("PartyId", str)
"""An organisation: `urn:gongshu:party:<name>`."""

SubjectId = NewType("SubjectId", str)
"""Who asks: `user:<name>`, `service:<name>` or `partner:<party id>`."""

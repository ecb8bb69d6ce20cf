"""Standards packs: every number and code that comes from a law or a standard, as versioned data with its source.

Logic asks a pack, never a literal; a result keeps `Pack.reference`, which names the version and the content that
produced it. This room must not know what any number is used for.
"""

from gongshu.packs.loader import load_packs
from gongshu.packs.model import Confidence, Pack, PackItem, Packs

__all__ = ["Confidence", "Pack", "PackItem", "Packs", "load_packs"]

"""Gongshu (工数): from the machine to the market, every value known, graded, guarded and put to use.

The rooms of this package are the six areas of China's Guiding Opinions on the Development of Industrial Big Data
(工信部信发〔2020〕67号). `docs/architecture.md` shows them on one page.
"""

__version__ = "0.1.0"

"""The nouns of the platform as frozen values: no input or output, no clock, no knowledge of any room.

`ids` names things, `reading` is the columnar shape every value has on its way, `series` and `dataset` say what is
measured and kept, `grade` how carefully it is to be treated, `access` who asks for what and what was decided, `audit`
what is written down about it.
"""

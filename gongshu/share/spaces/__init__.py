"""Trusted data spaces (可信数据空间): who belongs to one, what is offered in it, who may see what, and how that ends.

`roles`, `states` and `identifiers` decide (pure) · `hosting` is the operator's side · `membership` the member's ·
`notices` carries news to members until they have it. This area must not know any data: it holds facts about members,
entries and contracts, and never a row.
"""

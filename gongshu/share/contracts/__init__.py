"""What people do about contracts: groups, places, payments, attachments, notices, looking at documents and chains.

`service` keeps the rights and asks the books; `api` is HTTP. The documents themselves are made in `share.contract` and
`share.contract_book`. It must not know how rows travel.
"""

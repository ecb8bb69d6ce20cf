"""What was received under a contract, as the consumer's node keeps it: encrypted, read under terms, reported, deleted.

`vault` holds the keys, `keeper` writes, `law` judges each read for the gate, `chain` and `receipts` report readings to
the provider, `ending` shreds and proves, `watching` is the provider's view of all that. It must not know how rows
travel, and has no way to them but through the gate.
"""

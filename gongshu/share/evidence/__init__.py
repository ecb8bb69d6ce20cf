"""Evidence of what was delivered: metering signed by both sides, disputes, bundles for a third person, the ledger.

Each side of a contract writes a chain of signed entries and sends it to the other; both match what they counted. This
folder must not know how rows travel: it reads the meter's lines and changes nothing but the standing of an agreement.
"""

"""Clearances: records that one dataset may go to one party, by the procedure that its grade demands, until a day.

This part of the room must not know ODRL, messages or the wire. The room's policy asks it in every phase, and so does
the gate, which gets its facts here and never from a request.
"""

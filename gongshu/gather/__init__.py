"""Gather: what machines and files say becomes readings and tables of the lake, and nothing of it is lost unsaid.

`connector` is the door that every connector, ours or a stranger's, comes in by; `batch` the columnar shape that values
have on their way; `intake` gives them their series and stores them; `collector` is the process of one source. This room
must not know what a value means, how it is graded or who may read it, and it cannot write to a device (I4).
"""

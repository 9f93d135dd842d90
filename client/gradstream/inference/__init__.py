"""The messages of the Open Inference Protocol, generated from protos/inference under a name of their own:
on the wire they are the same, and tritonclient, which registers theirs, works in the same process.
"""

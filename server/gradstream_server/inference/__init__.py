"""The Open Inference Protocol, generated from protos/inference. tritonclient registers the same names, and a
process has room for one of the two; the client has its own, under other names.
"""

"""Proves that a client, in any language, follows a job rightly over a connection that misbehaves.

`recording.py` keeps logs of real jobs; `cases.py` says what goes wrong while one is played; `server.py` plays
it so; `judge.py` runs a client against that and compares what it tells. docs/clients.md is for authors.
"""

"""Where jobs run: the implementations of the protocol in `jobs/executor.py`."""

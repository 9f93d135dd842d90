"""Where jobs, logs and data are kept: the implementations of the protocols in `jobs/store.py`."""

"""What the fork server imports once, so that every worker forked from it has it already."""

import signal
from importlib import import_module

from gradstream_server.executors import dynamo

# Ctrl-C on a terminal reaches the whole group, from the first moment on.
signal.signal(signal.SIGINT, signal.SIG_IGN)

for _module in (
    "torch",
    "array_api_compat.torch",
    "gradstream_server.trainers.manual",
    "gradstream_server.trainers.autograd",
    "gradstream_server.trainers.module",
    "gradstream_server.executors.worker",
    "gradstream_server.executors.gradient_task",
    # For the readers of files.
    "gradstream_server.data.arrays",
    "gradstream_server.data.arrow",
    "gradstream_server.data.delimited",
    "gradstream_server.data.ingest",
):
    import_module(_module)
dynamo.postpone()

"""What the fork server imports once, so that every worker forked from it has it already.

The first construction of an optimizer imports `torch._dynamo`, which takes longer than all the rest.
"""

import array_api_compat.torch  # noqa: F401 - imported for its effect
import torch
import torch._dynamo  # noqa: F401 - imported for its effect

import gradstream_server.executors.worker
import gradstream_server.trainers.autograd
import gradstream_server.trainers.manual
import gradstream_server.trainers.module  # noqa: F401 - imported for its effect

"""MLServer with a linear regression of scikit-learn, in an environment of its own that is made once.

It cannot be installed beside us: it holds older versions of what we share.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.servers import RunningServer

VERSION = "1.7.1"
_ENVIRONMENT = Path(__file__).parents[2] / "build" / "mlserver"
_START_S = 60
# scikit-learn's own attributes: what fit would have found.
_MODEL = """
import joblib, numpy, sys
from sklearn.linear_model import LinearRegression
features = int(sys.argv[1])
model = LinearRegression().fit(numpy.eye(features + 1, features), numpy.zeros(features + 1))
model.coef_, model.intercept_ = numpy.arange(1.0, features + 1), 0.0
joblib.dump(model, sys.argv[2])
"""


@contextmanager
def mlserver(features: int) -> Iterator[RunningServer]:
    """MLServer without a pool of workers, as fast as it is: no metrics of gRPC, no access log."""
    binaries = _environment()
    with tempfile.TemporaryDirectory(prefix="gradstream-bench-") as folder, _free_ports(3) as ports:
        http, grpc, metrics = ports
        settings = {
            "host": "127.0.0.1", "http_port": http, "grpc_port": grpc, "metrics_port": metrics,
            "parallel_workers": 0, "debug": False, "metrics_endpoint": None,
        }  # fmt: skip
        model = {
            "name": "model",
            "implementation": "mlserver_sklearn.SKLearnModel",
            "parameters": {"uri": "./model.joblib", "version": "1", "content_type": "np"},
        }
        Path(folder, "settings.json").write_text(json.dumps(settings))
        Path(folder, "model-settings.json").write_text(json.dumps(model))
        made = [str(binaries / "python"), "-c", _MODEL, str(features), str(Path(folder, "model.joblib"))]
        subprocess.run(made, check=True)
        with Path(folder, "log").open("w") as log:
            process = subprocess.Popen(
                [str(binaries / "mlserver"), "start", folder], stdout=log, stderr=subprocess.STDOUT
            )
            try:
                _wait_for(grpc, process, Path(folder, "log"))
                yield RunningServer(f"127.0.0.1:{grpc}", process.pid)
            finally:
                process.terminate()
                process.wait()


def _environment() -> Path:
    """Where its commands are."""
    binaries = _ENVIRONMENT / "bin"
    if not (binaries / "mlserver").exists():
        print(f"installing MLServer {VERSION} into {_ENVIRONMENT} ...", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(_ENVIRONMENT)], check=True)
        wanted = [f"mlserver=={VERSION}", f"mlserver-sklearn=={VERSION}"]
        # What make pins for us is not for it.
        environment = {name: value for name, value in os.environ.items() if "CONSTRAINT" not in name}
        subprocess.run([str(binaries / "pip"), "install", "-qq", *wanted], check=True, env=environment)
    return binaries


@contextmanager
def _free_ports(count: int) -> Iterator[list[int]]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    yield ports


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)  # It tells nobody when it is ready.
    raise SystemExit(f"MLServer did not start: {log.read_text()}")

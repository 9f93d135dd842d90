"""What `make image-test` does: build the image, train through a container, stop it, start one on its data.

Where no image registry answers, the base image is made of Debian's packages (deploy/local-base-image.sh), and
the wheels are fetched by the pip of this machine, with its configuration, instead of by one inside the build.
"""

import contextlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

GRADSTREAM = Path(sysconfig.get_path("scripts"), "gradstream")
BASE_IMAGE = "python:3.11-slim-bookworm"  # as in deploy/Dockerfile
LOCAL_BASE_IMAGE = "localhost/gradstream-base"
IMAGE = "localhost/gradstream-test"
CONTEXT = Path("build", "image")
# As in deploy/compose.yaml.
CONFINED = shlex.split("--read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges")
# An engine that may not raise its own limits fails with the higher ones that it sets by default.
LIMITS = shlex.split("--ulimit nofile=4096:4096 --ulimit nproc=4096:4096")
REFERENCE_RUNS = {
    "manual": (),
    "autograd": (),
    "module": ("--init", "weight=0.7268983721733093", "--init", "bias=-0.5131938457489014"),
}
DEADLINE_S = 120
PORT = "50051"


def main() -> int:
    """Run every check. Returns the exit status of the process."""
    os.chdir(Path(__file__).parent.parent)
    engine = Engine(sys.argv[1])
    build(engine)
    volume = engine.output("volume", "create")
    try:
        with container(engine, volume) as server:
            check_confinement(engine, server)
            check_health(engine, server)
            for trainer in ("manual", "autograd", "module"):
                report = gradstream(server, "train", "--trainer", trainer, "--plain")
                expect(
                    "prediction after training: f(5) = " in report, f"{trainer} trained through the container"
                )
        with container(engine, volume) as server:
            jobs = gradstream(server, "jobs")
            expect(
                all(trainer in jobs for trainer in REFERENCE_RUNS), "a new container has the jobs of the last"
            )
    finally:
        engine.run("volume", "rm", volume)
    return 0


@dataclass(frozen=True)
class Engine:
    """Docker or Podman, by the name of its command."""

    name: str

    def run(self, *arguments: str) -> None:
        """Run a command that has to succeed."""
        subprocess.run([self.name, *arguments], check=True, stdout=subprocess.DEVNULL)

    def output(self, *arguments: str) -> str:
        """What a command that has to succeed prints."""
        return subprocess.run(
            [self.name, *arguments], check=True, stdout=subprocess.PIPE, text=True
        ).stdout.strip()

    def succeeds(self, *arguments: str) -> bool:
        """Whether a command exits with 0. It prints nothing."""
        return subprocess.run([self.name, *arguments], check=False, capture_output=True).returncode == 0


@dataclass(frozen=True)
class Server:
    """A container with a server that listens."""

    container: str
    address: str


def build(engine: Engine) -> None:
    """Build `IMAGE` from what is reached here."""
    arguments = ""
    if not (
        engine.succeeds("image", "inspect", BASE_IMAGE) or engine.succeeds("pull", "--quiet", BASE_IMAGE)
    ):
        print(
            f"{BASE_IMAGE} cannot be had: making a base image and collecting wheels on this machine",
            flush=True,
        )
        if not engine.succeeds("image", "inspect", LOCAL_BASE_IMAGE):
            subprocess.run(["deploy/local-base-image.sh", engine.name, LOCAL_BASE_IMAGE], check=True)
        collect_wheels(engine)
        arguments = f"--build-arg BASE_IMAGE={LOCAL_BASE_IMAGE} --build-context wheels={CONTEXT}"
    subprocess.run(
        [
            "make",
            "--no-print-directory",
            "image",
            f"ENGINE={engine.name}",
            f"IMAGE={IMAGE}",
            f"IMAGE_ARGS={arguments}",
        ],
        check=True,
    )
    size = int(engine.output("image", "inspect", "--format", "{{.Size}}", IMAGE))
    print(f"{IMAGE}: {size / 2**20:.0f} MiB")


def collect_wheels(engine: Engine) -> None:
    """Fill `CONTEXT`/wheels for the Python of the local base image."""
    shutil.rmtree(CONTEXT, ignore_errors=True)
    wheels = CONTEXT / "wheels"
    pip = [sys.executable, "-m", "pip", "--quiet", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", wheels, "."], check=True)
    (ours,) = wheels.glob("gradstream-*.whl")
    python = engine.output(
        *("run", "--rm", *LIMITS, LOCAL_BASE_IMAGE, "python3", "-c"),
        "import sys; print('%d.%d' % sys.version_info[:2])",
    )
    subprocess.run(
        [
            *pip,
            "download",
            "--only-binary=:all:",
            "--python-version",
            python,
            "--dest",
            wheels,
            f"{ours}[server]",
        ],
        check=True,
    )


@contextlib.contextmanager
def container(engine: Engine, volume: str) -> Iterator[Server]:
    """Run a container as deploy/compose.yaml does, on a free loopback port. Stops it with SIGTERM."""
    name = f"gradstream-test-{os.getpid()}"
    command = [engine.name, "run", "--rm", "--name", name, *CONFINED, *LIMITS]
    command += ["--publish", f"127.0.0.1::{PORT}", "--env", "GRADSTREAM_INSECURE=true"]
    command += ["--volume", f"{volume}:/data", IMAGE]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        too_late = threading.Timer(DEADLINE_S, process.kill)  # ends the wait for a line that never comes
        too_late.start()
        line = process.stdout.readline()
        too_late.cancel()
        listens = f"gradstream is listening on 0.0.0.0:{PORT}, unix:/tmp/gradstream.sock\n"
        expect(line == listens, "the server says where it listens")
        yield Server(name, engine.output("port", name, PORT).splitlines()[0])
    finally:
        engine.succeeds("stop", "--time", str(DEADLINE_S), name)
        status = process.wait(DEADLINE_S)
        process.stdout.close()
    print(f"exit status {status} after SIGTERM")
    expect(status == 0, "the server stops cleanly")
    expect(not engine.output("ps", "--all", "--quiet", "--filter", f"name={name}"), "no container is left")


def check_confinement(engine: Engine, server: Server) -> None:
    """The server is no root, and not even root could change the image's files."""
    expect(engine.output("exec", server.container, "id", "-u") != "0", "the server does not run as root")
    expect(
        not engine.succeeds("exec", "--user", "0", server.container, "touch", "/opt/x"),
        "the root file system is read-only",
    )
    expect(engine.succeeds("exec", server.container, "touch", "/data/x"), "/data is writable")
    engine.run("exec", server.container, "rm", "/data/x")


def check_health(engine: Engine, server: Server) -> None:
    """The image's health check passes when it is run as the engine runs it."""
    kind, *command = json.loads(
        engine.output("image", "inspect", "--format", "{{json .Config.Healthcheck.Test}}", IMAGE)
    )
    expect(kind == "CMD" and engine.succeeds("exec", server.container, *command), "the health check passes")


def gradstream(server: Server, *arguments: str) -> str:
    """What a command of the client on this machine prints."""
    return subprocess.run(
        [GRADSTREAM, *arguments, "--server", server.address],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=DEADLINE_S,
    ).stdout


def expect(condition: bool, what: str) -> None:
    """Say that a check holds, or end the test."""
    if not condition:
        raise SystemExit(f"image-test failed: not so: {what}")
    print(f"ok: {what}", flush=True)


if __name__ == "__main__":
    sys.exit(main())

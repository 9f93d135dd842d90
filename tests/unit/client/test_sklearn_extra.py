"""The estimators need scikit-learn; nothing else does."""

import subprocess
import sys

WITHOUT = "import sys; sys.modules['sklearn'] = None\n"


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)


def test_without_the_extra_it_says_what_to_install() -> None:
    done = run(f"{WITHOUT}import gradstream.sklearn")
    assert done.stderr.strip().endswith(
        "scikit-learn is not installed; install it with: pip install 'gradstream[sklearn]'"
    )


def test_the_client_does_without_it() -> None:
    done = run(f"{WITHOUT}import gradstream\nfor name in gradstream.__all__: getattr(gradstream, name)")
    assert (done.returncode, done.stderr) == (0, "")

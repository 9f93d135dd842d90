"""What the documentation names is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", "CONTRIBUTING.md", *(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    """A reader would follow a link to nothing."""
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / page).read_text())
    assert [link for link in links if not ((ROOT / page).parent / link).exists()] == []


def test_the_walkthrough_names_files_that_are_there() -> None:
    """A newcomer would look for a file that has moved."""
    folders = [ROOT, ROOT / "client/gradstream", ROOT / "client/gradstream/cli"]
    folders += [ROOT / "server/gradstream_server", ROOT / "protos/gradstream/v1"]
    named = re.findall(r"`([\w./]+\.(?:py|proto))`", (ROOT / "docs/walkthrough.md").read_text())
    assert len(named) > 20
    assert [name for name in named if not any((folder / name).is_file() for folder in folders)] == []

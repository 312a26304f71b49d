"""The page about the architecture is up to date, and the way from a call to a rule is short."""

import subprocess
import sys
from xml.etree import ElementTree

import pytest
from architecture_figures import PICTURE, layers, stacks_at_relu
from principle_pictures import pictures

from .conftest import DOCS


def test_the_page_is_up_to_date():
    command = [sys.executable, DOCS / "architecture_figures.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_the_page_has_every_room_of_the_contracts():
    page = (DOCS / "architecture.md").read_text()
    for container in ("seqlight", "seqlight.attribution"):
        for room in (room for layer in layers(container) for room in layer):
            assert f"| [`{room}`](" in page
    picture = PICTURE.read_text()
    assert f"(images/{PICTURE.name})" in page
    assert all(f">{room}</text>" in picture for layer in layers("seqlight") for room in layer)


def test_the_pictures_of_the_principle_are_up_to_date():
    assert all(path.read_text() == text for path, text in pictures().items())


@pytest.mark.parametrize("path", sorted((DOCS / "images").glob("*.svg")), ids=lambda path: path.name)
def test_drawings_are_whole_and_stand_alone(path):
    root = ElementTree.fromstring(path.read_text())
    assert root.tag.endswith("svg")
    assert root.find("{http://www.w3.org/2000/svg}title").text
    assert "href" not in path.read_text()


def test_no_page_needs_a_script_for_its_pictures():
    assert [page.name for page in DOCS.rglob("*.md") if "```mermaid" in page.read_text()] == []


def test_the_way_to_a_rule_is_short():
    passes = stacks_at_relu()
    assert [stack[-2].name.rpartition(".")[2] for stack in passes] == ["forward", "forward"]
    for stack in passes:
        ours = [frame for frame in stack if frame.file]
        assert len(ours) <= 9
        assert len({frame.file for frame in ours}) <= 5
        assert all(frame.purpose for frame in ours)

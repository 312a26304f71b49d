"""The workers of these studies are forked; those of the command line are started, as they are for a user."""

import pytest


@pytest.fixture(scope="module", autouse=True)
def _forked(forked_workers):
    pass

"""The page about attributions to train with: docs/attribution_priors.md; its blocks run, one after the other."""

import torch

from .conftest import BLOCK, DOCS


def test_the_blocks_run():
    names = {}
    for language, text in BLOCK.findall((DOCS / "attribution_priors.md").read_text()):
        if language == "python":
            exec(compile(text, "attribution_priors.md", "exec"), names)
    gradients = [one.grad for one in names["model"].parameters()]
    assert all(one is not None and torch.isfinite(one).all() for one in gradients)

"""The page about attributions to train with: docs/attribution_priors.md; its blocks run, one after the other."""

import torch


def test_the_blocks_run(run_page):
    page, _ = run_page("attribution_priors.md")
    gradients = [one.grad for one in page.names["model"].parameters()]
    assert all(one is not None and torch.isfinite(one).all() for one in gradients)

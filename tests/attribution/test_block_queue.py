"""Blocks come back one behind the other, in order, and as if each had been waited for before the next began."""

import pytest
import torch

from seqlight.attribution.block_queue import BlockQueue
from seqlight.attribution.contributions import Block, Pairs
from seqlight.prediction.batch_size import BatchSize


class Explainer:
    """Explains block k by the number k, in the way of the revision; settles some blocks by a revision, some by errors.

    Parameters
    ----------
    device : str
    revised_by : int
        The block after which all are explained in another way, itself included.
    refused : dict
        From a block to the revision from which on it can be launched.
    """

    def __init__(self, device, revised_by=-1, refused=None):
        self.device, self.revised_by, self.refused = torch.device(device), revised_by, refused or {}
        self.size = BatchSize(1, self.device)
        self.revision, self.rows_checked, self.log, self.found = 0, False, [], []

    def launch(self, pairs):
        self.log.append(f"launch {pairs.first}")
        if self.revision < self.refused.get(pairs.first, 0):
            raise RuntimeError(f"block {pairs.first} is refused")
        value = torch.full((1, 1, 1), 10.0 * pairs.first + self.revision, device=self.device)
        return Block((value[:, :, :, None],), (value[:, :, :, None],), value, value[:, :, 0], value)

    def settle(self, pairs, block, figures):
        assert figures.deltas.is_cpu
        self.log.append(f"settle {pairs.first}")
        if pairs.first == self.revised_by and not self.revision:
            self.revision = 1
            return self.launch(pairs)
        return block

    def explain(self, n):
        queue = BlockQueue(self, lambda block: (block.deltas.double() + 1,))
        for first in range(n):
            pairs, block = Pairs(first, first + 1, [torch.full((1, 1, 1, 1), float(first))]), None
            self.log.append(f"draw {first}")
            try:
                block = self.launch(pairs)
            except RuntimeError:
                if not queue:
                    raise
            yield from queue.add(pairs, block)
        yield from queue.rest()

    def values(self, n):
        for one in self.explain(n):
            assert one.block.multipliers == ()
            assert one.values[0].is_cpu
            assert one.values[0].dtype == torch.float64
            assert one.values[0].item() == one.block.deltas.item() + 1 == one.block.outputs.item() + 1
            self.log.append("have")
            self.found.append(one.block.deltas.item())
        return self.found


@pytest.fixture(params=["cpu", "pretend", "pretend without float64"])
def device(request, pretend):
    name, *less = request.param.split(maxsplit=1)
    with pretend.switched(late_copies=True, no_float64=bool(less)):
        yield name


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_blocks_come_in_order(device, n):
    assert Explainer(device).values(n) == [10 * k for k in range(n)]


@pytest.mark.reliability(
    "accelerators",
    "a device that computes one block while the next ones are drawn",
    "references are drawn and a block is launched before the one before is waited for; on the CPU nothing is put off",
)
def test_a_block_is_launched_before_the_one_before_is_waited_for(device):
    explainer = Explainer(device)
    explainer.values(4)
    first = ["draw 0", "launch 0", "settle 0", "have"]
    there = ["draw 1", "launch 1", "draw 2", "launch 2", "settle 1", "have", "draw 3", "launch 3", "settle 2", "have"]
    if device == "cpu":
        assert explainer.log == first + [f"{what} {k}" if what != "have" else what for k in (1, 2, 3)
                                         for what in ("draw", "launch", "settle", "have")]  # fmt: skip
    else:
        assert explainer.log == [*first, *there, "settle 3", "have"]


def test_the_first_block_is_not_waited_for_where_rows_were_checked_before(pretend):
    explainer = Explainer("pretend")
    explainer.rows_checked = True
    assert explainer.values(2) == [0, 10]
    assert explainer.log == ["draw 0", "launch 0", "draw 1", "launch 1", "settle 0", "have", "settle 1", "have"]


@pytest.mark.parametrize("revised_by", range(4))
def test_a_block_launched_in_vain_is_launched_again(device, revised_by):
    explainer = Explainer(device, revised_by=revised_by)
    assert explainer.values(4) == [10 * k + (k >= revised_by) for k in range(4)]


@pytest.mark.parametrize("refused", range(1, 4))
def test_a_refused_block_is_launched_again_after_a_revision(device, refused):
    explainer = Explainer(device, revised_by=refused - 1, refused={refused: 1})
    assert explainer.values(4) == [10 * k + (k >= refused - 1) for k in range(4)]


@pytest.mark.parametrize("refused", range(4))
def test_the_blocks_before_an_error_are_not_lost(device, refused):
    explainer = Explainer(device, refused={refused: 9})
    with pytest.raises(RuntimeError, match=f"block {refused} is refused"):
        explainer.values(5)
    assert explainer.found == [10 * k for k in range(refused)]


def test_references_are_those_that_were_drawn(device):
    for k, one in enumerate(Explainer(device).explain(3)):
        assert one.block.references[0].is_cpu
        assert one.block.references[0].item() == (10 * k if device == "cpu" else k)  # those of the block on the CPU


class ForgetfulExplainer(Explainer):
    """Has no memory to settle a block of several sequences, nor one of a single sequence the first time."""

    def __init__(self, device):
        super().__init__(device)
        self.size, self.tried = BatchSize(4, self.device), False

    def launch(self, pairs):
        value = torch.arange(pairs.first, pairs.last, device=self.device).view(-1, 1, 1).float()
        return Block((value[:, :, :, None],), (value[:, :, :, None],), value, value[:, :, 0], value)

    def settle(self, pairs, block, figures):
        if pairs.last - pairs.first > 1 or not self.tried:
            self.tried = self.tried or pairs.last - pairs.first == 1
            raise torch.OutOfMemoryError("out of memory")
        return block

    def forget(self):
        pass


def test_pairs_that_come_again_come_once(device):
    explainer, found = ForgetfulExplainer(device), []
    queue = BlockQueue(explainer, lambda block: (block.deltas + 1,))
    every = Pairs(0, 4, [torch.arange(4.0).view(4, 1, 1, 1)])
    for pairs in queue.divide([every]):
        with queue.trial:
            found += [one.block.deltas.flatten().tolist() for one in queue.add(pairs, explainer.launch(pairs))]
    found += [one.block.deltas.flatten().tolist() for one in queue.rest()]
    assert found == [[0.0], [1.0], [2.0], [3.0]]

"""Options that several commands have: what makes the model, and how a run is spread over devices.

The docstrings are those of the help; see :func:`seqlight.cli.flat_signature.flat_signature`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class NetworkOptions:
    """What makes a model of its class.

    Args:
        checkpoint: Weights of the model, a state dict, a Lightning checkpoint or safetensors; several files are the
            folds of an ensemble.
        module: Part of the class to take, such as net of a LightningModule.
        init_args: Arguments of the class, such as width=64.
        trusted: Allow the checkpoint to run code when it is loaded; only for a file that you trust.
        strands: Strands over which the model is averaged.
        shifts: Shifts of the sequence over which the model is averaged, such as -1 0 1.
        positions: Dimension of the model's output that runs along the sequence, such as 2, or none; for strands and
            shifts.
        strand_channels: Dimension of the model's output with a channel for each strand; for strands.
    """

    checkpoint: Path | list[Path] | None = None
    module: str | None = None
    init_args: dict[str, Any] | None = None
    trusted: bool = False
    strands: Literal["forward", "reverse", "both"] = "forward"
    shifts: list[int] | None = None
    positions: int | Literal["none"] | None = None
    strand_channels: int | None = None

    @property
    def several(self) -> bool:
        """Whether sequences are turned or moved, and outputs back."""
        return self.strands != "forward" or bool(self.shifts)

    def open(self, model: str | dict[str, Any] | None, alphabet: str = "DNA") -> nn.Module:
        """Return the model, as :func:`seqlight.cli.networks.open_network` does."""
        from seqlight.cli.networks import open_network

        return open_network(model, alphabet=alphabet, **{name: getattr(self, name) for name in asdict(self)})


@dataclass(frozen=True)
class RunOptions:
    """How a run is divided, and spread over devices.

    Args:
        batch_size: Rows at a time, on each device; auto is 32 on the CPU, and what fits into the memory of a GPU.
        shard_rows: Rows in each file of the results; a process that is killed loses one file.
        workers: Processes that read data, for each device.
        devices: Number of devices on each node; auto takes all of them.
        num_nodes: Number of machines; start the same command on each.
        strategy: Strategy of the Lightning Trainer.
        accelerator: Accelerator of the Lightning Trainer, such as cpu or gpu.
    """

    batch_size: int | str = "auto"
    shard_rows: int | None = None
    workers: int = 0
    devices: int | str = "auto"
    num_nodes: int = 1
    strategy: str = "auto"
    accelerator: str = "auto"

    @property
    def settings(self) -> dict[str, Any]:
        """Arguments of :func:`seqlight.run` that are typed as they are."""
        names = ("shard_rows", "workers", "devices", "num_nodes", "strategy", "accelerator")
        return {name: getattr(self, name) for name in names}


# What they are where nothing is typed.
NETWORK, RUN = NetworkOptions(), RunOptions()

"""Who makes records of an epoch, who follows, and how they find each other in a Trainer."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar, TypeAlias, TypeVar

import lightning.pytorch as L
from torch import Tensor

from seqlight.errors import InputError, a
from seqlight.lit.lightning_packages import Callback
from seqlight_callbacks.failures import OnError, prefix_errors, run_or_warn
from seqlight_callbacks.records import AttributionRecord
from seqlight_callbacks.trainer_state import listed, require_lightning, require_own_folder, require_own_name

# Takes a prefix and numbers by name, and logs them, or does nothing for a record that is not to be logged.
Log: TypeAlias = Callable[[str, Mapping[str, float]], None]
One = TypeVar("One", bound="Named")
Other = TypeVar("Other", bound="Follower")


class Named(Callback):
    """A callback of which several may stand side by side, each under a name of its own."""

    name: str

    @property
    def state_key(self) -> str:
        """What tells several of these apart in a checkpoint."""
        return f"{type(self).__qualname__}(name={self.name!r})"

    @property
    def who(self) -> str:
        """What to call it in a message."""
        return f"{type(self).__name__} {self.name!r}"

    def does(self) -> str:
        """Return what it does, in a phrase."""
        raise NotImplementedError

    def names(self) -> list[str]:
        """Return the names of the numbers that this one logs of every record, behind its own name."""
        return []

    def __repr__(self) -> str:
        return f"<{self.who}: {self.does()}>"

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Refuse a Trainer in which two of a kind have one name, or one folder."""
        require_lightning(trainer)
        require_own_name(trainer, self)
        require_own_folder(trainer, self)


class Recorder(Named):
    """What makes records, and gives each to all that follow it.

    Attributes
    ----------
    sequences : torch.Tensor, shape (sequences, letters, positions)
        What the records are of.
    sequence_names : list of str
        What each is called.
    record : AttributionRecord or None
        The last.
    window : tuple of int or None
        Where attribution is hoped to be.
    out : pathlib.Path or None
        Where the records are written.
    """

    sequences: Tensor
    sequence_names: list[str]
    record: AttributionRecord | None
    window: tuple[int, int] | None
    out: Path | None

    def called(self, i: int) -> str:
        """Return what to call a sequence in a picture or a table."""
        name = self.sequence_names[i]
        return f"sequence {i}" if name == str(i) else name

    def followers(self, trainer: L.Trainer) -> list[Follower]:
        """Return the callbacks of a Trainer that follow this one, in its order."""
        return [one for one in listed(trainer) if isinstance(one, Follower) and one.follows(self)]

    def tell(self, trainer: L.Trainer, record: AttributionRecord, log: Log, on_error: OnError) -> None:
        """Give a record to those that follow, in the order of the Trainer; who needs what others found comes last.

        Parameters
        ----------
        trainer : Trainer
            Whose callbacks follow.
        record : AttributionRecord
            What to give.
        log : callable
            Logs numbers behind a prefix.
        on_error : "warn" or "raise"
            What becomes of an error of one of them.
        """
        for one in sorted(self.followers(trainer), key=lambda one: one.comes_last):
            lost = f"{one.who} did nothing with the record of {record.when}"
            run_or_warn(trainer, on_error, lost, functools.partial(one.follow, trainer, record, log))


class Follower(Named):
    """What does something with each record, as soon as there is one, wherever it stands in the list.

    Parameters
    ----------
    attribution : Recorder, str or None
        Whom to follow, itself or its name; None for the only one that the Trainer has.
    name : str
        One for each of a kind.
    """

    comes_last: ClassVar[bool] = False

    def __init__(self, attribution: Recorder | str | None, name: str) -> None:
        super().__init__()
        if not (attribution is None or isinstance(attribution, Recorder | str)):
            raise InputError(
                f"{type(self).__name__} {name!r}: attribution is {a(attribution)}: expected an AttributionCallback, "
                "its name, or None for the only one."
            )
        self.name = name
        self._asked = attribution
        self._followed = attribution if isinstance(attribution, Recorder) else None

    def whom(self) -> str:
        """Return what to call whom this one follows, before it is looked for too."""
        if self._followed is not None:
            return self._followed.who
        return "the only AttributionCallback" if self._asked is None else f"AttributionCallback {self._asked!r}"

    @property
    def attribution(self) -> Recorder:
        """Whom this one follows."""
        if self._followed is None:
            raise InputError(
                f"{type(self).__name__} {self.name!r} follows nobody yet: an AttributionCallback is looked for when a "
                "Trainer starts."
            )
        return self._followed

    def follows(self, recorder: Recorder) -> bool:
        """Return whether `recorder` is followed."""
        return self._followed is recorder

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Find whom to follow."""
        super().setup(trainer, pl_module, stage)
        self._followed = self.meant(trainer)
        self.require(self._followed)

    def meant(self, trainer: L.Trainer) -> Recorder:
        """Return whom this one is to follow in a Trainer."""
        found = find(trainer, Recorder, self._asked, self)
        if found is None:
            who = f"{type(self).__name__} {self.name!r}"
            raise InputError(f"{who} found no AttributionCallback in the Trainer's callbacks: list one.")
        return found

    def require(self, attribution: Recorder) -> None:
        """Raise InputError, which names this one, if the arguments do not fit whom it follows."""
        with prefix_errors(lambda: self.who):
            self.check(attribution)

    def check(self, attribution: Recorder) -> None:
        """Raise InputError if the arguments do not fit whom this one follows."""

    def follow(self, trainer: L.Trainer, record: AttributionRecord, log: Log) -> None:
        """Do something with a record; all processes are here."""
        raise NotImplementedError


def find(trainer: L.Trainer, kind: type[One], asked: One | str | None, asking: Named) -> One | None:
    """Return the callback that is meant.

    Parameters
    ----------
    trainer : lightning.pytorch.Trainer
        In whose list it must be.
    kind : type
        Of the callback.
    asked : callback, str or None
        Itself, its name, or the only one that there is.
    asking : callback
        Who wants to know, for the message.

    Returns
    -------
    callback or None
        None if nothing was asked for and there is none.

    Raises
    ------
    InputError
        If it is not there, or it is not clear which is meant.
    """
    there = [one for one in listed(trainer) if isinstance(one, kind)]
    names = ", ".join(repr(one.name) for one in there) or "none"
    who, what = f"{type(asking).__name__} {asking.name!r}", _called(kind)
    if isinstance(asked, str):
        named = [one for one in there if one.name == asked]
        if not named:
            raise InputError(f"{who} looks for {what} {asked!r}, and the Trainer has {names}: give the name of one.")
        return named[0]
    if asked is not None:
        if not any(one is asked for one in there):
            raise InputError(f"{who} follows {what} that the Trainer has not: list both in its callbacks.")
        return asked
    if len(there) > 1:
        raise InputError(f"{who} could follow several, {names}: give the name of one.")
    return there[0] if there else None


def beside(trainer: L.Trainer, kind: type[Other], asked: Other | str | None, asking: Follower) -> Other | None:
    """Return whose results to use: what was asked for, or the only one that follows the same attributions.

    Raises
    ------
    InputError
        If it is not there, or follows others.
    """
    mine = [one for one in listed(trainer) if isinstance(one, kind) and one.meant(trainer) is asking.attribution]
    if asked is None:
        return mine[0] if len(mine) == 1 else None
    found = find(trainer, kind, asked, asking)
    if not any(one is found for one in mine):
        raise InputError(
            f"{type(asking).__name__} {asking.name!r} and its {kind.__name__} follow different ones: follow one."
        )
    return found


def _called(kind: type[Named]) -> str:
    # A reader knows the one recorder that there is.
    name = "AttributionCallback" if kind is Recorder else kind.__name__
    return f"{'an' if name[0] in 'AEIO' else 'a'} {name}"

"""The parameter-randomisation check when a training ends."""

from __future__ import annotations

import warnings
from pathlib import Path

import lightning.pytorch as L

from seqlight.errors import RandomizationWarning
from seqlight.files.paths import as_path
from seqlight.lit.collectives import run_on_all_ranks
from seqlight.prediction.model_wrapper import unwrap_model
from seqlight.prediction.predict import predict
from seqlight.sequence.checks import require_count
from seqlight.studies.randomization.check import THRESHOLD, randomize_from_output, require_threshold
from seqlight.studies.randomization.result import ParameterRandomization
from seqlight_callbacks.attribution import AttributionCallback
from seqlight_callbacks.failures import prefix_errors, run_or_warn
from seqlight_callbacks.recorder import Log, RecordListener
from seqlight_callbacks.records import AttributionRecord
from seqlight_callbacks.tables import write_table
from seqlight_callbacks.trainer_state import epochs_trained, is_dry_run, steps_trained


class RandomizationCallback(RecordListener):
    """Check, when a training ends, whether attributions depend on what the model has learned.

    The layers of the trained model are re-initialised one after the other, from the output on, and its attributions are
    computed each time (:func:`seqlight.studies.parameter_randomization`): the same sequences, references, target and
    method as those of an AttributionCallback. If they stay alike, a warning says so. All processes share the work, and
    the model is left as it was. It sees the weights that there are when its turn comes: list WeightAveraging before it.

    Every logger gets ``name/rank_correlation`` and ``name/least``, with all layers re-initialised.

    Parameters
    ----------
    attribution : AttributionCallback or str, optional
        Whose attributions to check, itself or its name; None for the only one that the Trainer has.
    steps : int
        At most how many times attributions are computed for each draw; of a model with more layers, several are
        re-initialised at a time.
    n_draws : int
        How often this is repeated with other random numbers.
    threshold : float
        The rank correlation from which attributions count as alike, 0 to 1.
    random_state : int
        The seed of the random numbers.
    out : str or pathlib.Path, optional
        A csv file for the table, written by the first process.
    name : str
        The prefix of what is logged, different for each callback of this class.

    Attributes
    ----------
    result : ParameterRandomization or None
        What was found at the end of the last training.

    Raises
    ------
    InputError
        If an argument cannot be used, when the callback is made; if it is not clear which AttributionCallback to use,
        when the Trainer starts.

    Warns
    -----
    RandomizationWarning
        If attributions stay alike when all layers are re-initialised.

    Examples
    --------
    >>> import seqlight as sl
    >>> from seqlight_callbacks import AttributionCallback, RandomizationCallback
    >>> attribution = AttributionCallback(sl.random_one_hot((8, 4, 60), random_state=0), n_shuffles=5)
    >>> RandomizationCallback(attribution, steps=4)
    <RandomizationCallback 'randomization': AttributionCallback 'attribution' of 3 randomized models, in 4 steps each>
    """

    def __init__(
        self,
        attribution: AttributionCallback | str | None = None,
        *,
        steps: int = 10,
        n_draws: int = 3,
        threshold: float = THRESHOLD,
        random_state: int = 0,
        out: str | Path | None = None,
        name: str = "randomization",
    ) -> None:
        super().__init__(attribution, name)
        with prefix_errors(lambda: self.label):
            self.steps = require_count(steps, "steps", least=1)
            self.n_draws = require_count(n_draws, "n_draws", least=1)
            self.threshold = require_threshold(threshold)
            self.random_state = require_count(random_state, "random_state")
            self.table_path = None if out is None else as_path(out, "out")
        self.result: ParameterRandomization | None = None
        self.check_arguments()

    def describe(self) -> str:
        """Return what it does, in a phrase."""
        return f"{self.attribution_label} of {self.n_draws} randomized models, in {self.steps} steps each"

    def on_record(self, trainer: L.Trainer, record: AttributionRecord, log: Log) -> None:
        """Do nothing: it waits for the end of the training."""

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Check the trained model; an error is a warning, as the training is done."""
        if not is_dry_run(trainer):
            lost = f"{self.label} has no result"
            run_or_warn(trainer, self.attribution.on_error, lost, lambda: self._check(trainer, pl_module))

    def _check(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        recorder, epoch = self.attribution, epochs_trained(trainer)
        model = recorder.select_model(pl_module)

        def first_pass() -> None:
            # On all processes or on none, so that no other is left waiting for attributions.
            run_on_all_ranks(trainer, lambda: predict(model, recorder.sequences[:1], device=pl_module.device))

        self.result = randomize_from_output(
            unwrap_model(model),
            first_pass,
            lambda: recorder.compute_record(trainer, pl_module, epoch).attributions,
            self.steps,
            self.n_draws,
            self.threshold,
            self.random_state,
        )
        if trainer.is_global_zero:
            self._report(trainer, self.result)

    def _report(self, trainer: L.Trainer, result: ParameterRandomization) -> None:
        """Log, write and warn, on the first process."""
        if result.alike:
            warnings.warn(f"{self.label}: {result.sentence}", RandomizationWarning, stacklevel=2)
        numbers = {f"{self.name}/{key}": float(result.table[key].iloc[-1]) for key in ("rank_correlation", "least")}
        for logger in trainer.loggers:
            logger.log_metrics(numbers, step=steps_trained(trainer))
        if self.table_path is not None:
            write_table(result.table, self.table_path)

"""The help of ``seqlight fit``, ``validate`` and ``test``: what they need, and their main options.

LightningCLI has an option for every argument of trainer, model and data, which take screens, and seconds to load.
"""

from __future__ import annotations

FIT = """\
usage: seqlight fit --config FILE.yaml [options]

Train any model from a YAML file, on any number of devices.

It needs a model, rows with labels for training and validation, and an end of
the training. All of it can stand in the file or be typed; what is typed goes
before what the file says.

Example:
    seqlight fit --config configs/train.yaml --trainer.max_epochs 20
    seqlight fit --config configs/genome.yaml --ckpt_path last

model:
  --model.model CLASS   The model, package.module.Class; an argument of it is
                        set by --model.model.NAME VALUE.
  --model.loss CLASS    Loss of outputs and labels; by default binary
                        cross-entropy of logits.
  --model.metrics       Metrics of validation and test, by name; in the file.
  --model.optimizer CLASS
                        By default AdamW with learning rate 1e-3;
                        --model.optimizer.lr 3e-3 changes it.
  --model.scheduler CLASS
                        Schedule of the learning rate, such as
                        seqlight.lit.schedules.Cosine.
  --model.priors        Penalties on attributions, by name; in the file.

data:
  --data CLASS          SequenceDataModule, of datasets by split, or
                        GenomeDataModule, of a genome and regions, both in
                        seqlight.lit; or a class of your own derived from the
                        former. An argument of it is set by --data.NAME VALUE.
                        The index (.fai) of a FASTA file is written beside it,
                        where the folder allows that.

trainer:
  --trainer.max_epochs N
                        Rounds through the training rows.
  --trainer.devices N   Number of devices, or auto.
  --trainer.accelerator NAME
                        Such as cpu or gpu.
  --trainer.precision NAME
                        Such as bf16-mixed.
  --trainer.callbacks   Callbacks of Lightning or your own; in the file. A
                        ModelCheckpoint with monitor keeps the best weights.
  --trainer.default_root_dir FOLDER
                        Folder for logs and checkpoints; by default the
                        current one.
  --seed_everything N   Seed of all random numbers.
  --ckpt_path PATH      Go on from a checkpoint; last takes the last one.
"""

MEASURE = """\
usage: seqlight {name} --config FILE.yaml --ckpt_path PATH [options]

Measure a trained model on the {rows} rows of a YAML file.

It needs the file of `seqlight fit`, and the checkpoint that this has written.

Example:
    seqlight {name} --config configs/train.yaml --ckpt_path best.ckpt
    seqlight {name} --config configs/train.yaml --ckpt_path best.ckpt \\
        --trainer.devices 1

options:
  --ckpt_path PATH      Checkpoint of the model; without one it has the weights
                        with which its class begins.
  --model.metrics       Metrics by name; in the file.
  --data.{split} DATASET
                        Other rows than those of the file.
  --trainer.devices N   Number of devices; one counts each row once.
  --trainer.accelerator NAME
                        Such as cpu or gpu.
"""

ALSO = """\

also:
  --config FILE.yaml    Take options from a file; several are read in order.
  --print_config        Print all options as such a file.
  --debug               Show the traceback of an error.
  -h, --help            Print this.
  --help-all            Print every option of trainer, model and data, as
                        LightningCLI knows them; --data.help CLASS and
                        --model.model.help CLASS those of a class.
"""


def training_help(name: str) -> str:
    """Return the help of a command: "fit", "validate" or "test"."""
    rows = {"validate": "validation", "test": "test"}
    split = {"validate": "valid", "test": "test"}
    text = FIT if name == "fit" else MEASURE.format(name=name, rows=rows[name], split=split[name])
    return text + ALSO

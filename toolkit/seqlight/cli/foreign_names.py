"""What other programs call our commands and options, so that somebody who types one of those names is told ours."""

from __future__ import annotations

from collections.abc import Collection

# Ours first, then what else it is called; no name of these is one that we have for something else.
OPTIONS = {
    "out": "output output_dir out_dir outdir output_folder save_dir o",
    "data": "input sequences peaks bed regions fasta loci",
    "genome": "fasta reference ref ref_fasta reference_fasta genome_fasta",
    "regions": "peaks bed loci",
    "checkpoint": "ckpt ckpt_path weights model_weights state_dict",
    "init_args": "hparams hyperparameters model_args model_kwargs",
    "random_state": "seed",
    "devices": "processes n_processes nproc nproc_per_node n_jobs jobs gpus n_gpus num_gpus cpus",
    "accelerator": "device gpu cuda cpu",
    "num_nodes": "nodes nnodes",
    "workers": "num_workers",
    "n_shuffles": "references n_references num_shuffles shuffles baselines n_baselines",
    "target": "task task_idx output_index",
    "window": "in_window input_len inputlen seq_len sequence_length",
    "strands": "rc reverse_complement",
    "step": "stride",
    "motifs": "meme motif_db motif_database pwm",
    "fdr": "q",
    "quiet": "silent verbose progress",
    "precision": "amp tf32",
}
COMMANDS = {
    "attribute": "attributions explain interpret contribs contributions shap deepshap deeplift deep_lift_shap",
    "predict": "prediction predictions",
    "motifs": "modisco tfmodisco",
    "seqlets": "seqlet",
    "fit": "train",
    "track": "bigwig genome",
    "report": "html page",
    "export": "convert",
}


def names_here(word: str, known: Collection[str], names: dict[str, str]) -> list[str]:
    """Return what a word of other programs is called here, as far as that is known to a command.

    Parameters
    ----------
    word : str
        As typed, with underscores.
    known : collection of str
        The names that there are.
    names : dict of str to str
        `OPTIONS` or `COMMANDS`.

    Examples
    --------
    >>> names_here("seed", ["data", "random_state"], OPTIONS), names_here("fasta", ["data", "genome"], OPTIONS)
    (['random_state'], ['data', 'genome'])
    >>> names_here("seed", ["data"], OPTIONS)
    []
    """
    return [ours for ours, others in names.items() if ours in known and word.lower() in others.split()]

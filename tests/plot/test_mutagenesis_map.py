import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

import seqlight as sl
from drawn_artists import visible_artists, visible_texts
from seqlight.attribution.methods.mutagenesis import MutagenesisOutputs
from seqlight.errors import InputError
from seqlight.plot.mutagenesis_map import plot_mutagenesis


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    layers = [torch.nn.Conv1d(4, 6, 5), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(6 * 26, 2)]
    return torch.nn.Sequential(*layers).double()


@pytest.fixture(scope="module")
def X():
    X = sl.random_one_hot((3, 4, 30), random_state=0).double()
    X[0, :, 7] = 0
    return X


@pytest.fixture(scope="module")
def outputs(model, X):
    return sl.saturation_mutagenesis(model, X, raw_outputs=True)


def map_of(figure):
    (image,) = [image for ax in figure.axes for image in ax.images if ax.get_ylabel() == "mutated to"]
    return image


def test_the_map_is_the_change_of_the_output(outputs, X):
    y0, y_hat = outputs
    image = map_of(plot_mutagenesis(outputs, X, example_idx=1, target=1))
    expected = (y_hat[1, ..., 1] - y0[1, 1]).numpy()
    np.testing.assert_allclose(image.get_array(), expected)
    assert image.get_extent() == [0, 30, 4, 0]
    # Colours diverge about no change.
    assert image.get_clim() == pytest.approx((-np.abs(expected).max(), np.abs(expected).max()))


def test_hypothetical_attributions_draw_the_same_map(model, outputs, X):
    hypothetical = sl.saturation_mutagenesis(model, X, target=[0, 1], hypothetical=True)
    one = map_of(plot_mutagenesis(outputs, X, example_idx=2, target=0)).get_array()
    for given in (hypothetical, hypothetical[:, 0], hypothetical[2, 0]):
        options = {"example_idx": 2, "target": 0 if given.ndim == 4 else None}
        np.testing.assert_allclose(map_of(plot_mutagenesis(given, X, **options)).get_array(), one, atol=1e-12)


def test_the_logo_is_what_saturation_mutagenesis_returns(model, outputs, X):
    figure = plot_mutagenesis(outputs, X, example_idx=1, target=0)
    attributions = sl.saturation_mutagenesis(model, X, target=0)[1].numpy()
    drawn = Figure().subplots()
    sl.plot_logo(attributions, drawn)
    for letter in "ACGT":
        paths = [[path.vertices for path in one.get_paths()] for ax in (figure.axes[0], drawn)
                 for one in visible_artists(ax, f"_letter {letter}")]  # fmt: skip
        np.testing.assert_allclose(paths[0], paths[1], atol=1e-9)


def test_letters_of_the_sequence_are_written_into_their_fields(outputs, X):
    ax = plot_mutagenesis(outputs, X, example_idx=0, target=0).axes[1]
    assert len(visible_texts(ax, "_letter")) == 29
    for text in visible_artists(ax, "_letter"):
        column, row = (int(np.floor(at)) for at in text.get_position())
        assert "ACGT"[row] == text.get_text()
        assert X[0, row, column] == 1
        assert ax.images[0].get_array()[row, column] == 0
    assert [label.get_text() for label in ax.get_yticklabels()] == list("ACGT")


def test_without_room_for_letters_there_are_dots(outputs, X):
    ax = plot_mutagenesis(outputs, X, example_idx=1, target=0, figsize=(2, 2)).axes[1]
    assert not visible_texts(ax, "_letter")
    (dots,) = visible_artists(ax, "_letters")
    assert len(dots.get_offsets()) == 30


def test_a_mutated_region_and_a_window_of_the_whole_are_the_same(model, outputs, X):
    some = sl.saturation_mutagenesis(model, X, start=5, end=20, raw_outputs=True)
    region, window = (plot_mutagenesis(one, X, example_idx=0, target=1, start=5, end=20) for one in (some, outputs))
    np.testing.assert_allclose(map_of(region).get_array(), map_of(window).get_array())
    assert region.axes[0].get_xlim() == (5, 20)


def test_the_axis_counts_along_the_genome(outputs, X):
    figure = plot_mutagenesis(outputs, X, example_idx=0, target=0, locus=("chr8", 1000, 1030, "-"), title="a $x$ title")
    assert figure.axes[1].get_xlabel() == "position on chr8, reverse strand"
    assert figure.axes[0].get_title("left") == "a $x$ title"
    assert figure.axes[1].xaxis.get_major_formatter()(10, 0) == "1,020"
    figure.draw_without_rendering()


def test_without_a_logo_and_with_other_colours(outputs, X):
    figure = plot_mutagenesis(outputs, X, example_idx=0, target=0, logo=False, cmap="PiYG", limit=2)
    assert len(figure.axes) == 2
    assert map_of(figure).get_clim() == (-2, 2)
    assert map_of(figure).get_cmap().name == "PiYG"


def test_a_model_that_never_changes_is_white(X):
    effects = MutagenesisOutputs(torch.zeros(3), torch.zeros(3, 4, 30))
    image = map_of(plot_mutagenesis(effects, X, example_idx=1))
    assert (image.get_array() == 0).all()
    assert map_of(plot_mutagenesis(np.zeros((4, 30)), X[1])).get_clim() == (-1, 1)


@pytest.mark.reliability(
    "pictures", "attributions of the sequence's own letters as a map of all letters", "refused: the map would be empty"
)
def test_masked_attributions_are_refused(model, X):
    with pytest.raises(InputError, match="hypothetical=True"):
        plot_mutagenesis(sl.saturation_mutagenesis(model, X, target=0), X, example_idx=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": 0}, "3 sequences, but one is drawn: choose it with `example_idx`"),
        ({"example_idx": 0}, "2 outputs, but one is drawn: choose it with `target`"),
        ({"example_idx": 3, "target": 0}, "`example_idx` is 3"),
        ({"example_idx": 0, "target": -1}, "`target` is -1"),
        ({"example_idx": 0, "target": 0, "start": 30}, "0 <= start < end <= 30"),
        ({"example_idx": 0, "target": 0, "limit": -1}, "`limit` is -1"),
        ({"example_idx": 0, "target": 0, "cmap": "no"}, "no colormap"),
        ({"example_idx": 0, "target": 0, "locus": ("chr1", 0, 7)}, "7 positions and the sequence 30"),
    ],
)
def test_wrong_arguments_are_refused(outputs, X, options, message):
    with pytest.raises(InputError, match=message):
        plot_mutagenesis(outputs, X, **options)


def test_wrong_shapes_are_refused(X):
    with pytest.raises(InputError, match=r"`effects` are those of pairs.*: leave out pairwise=True"):
        plot_mutagenesis(np.ones((1, 4, 30, 4, 2)), X[0])
    with pytest.raises(InputError, match=r"`effects` has shape \(4, 9\)"):
        plot_mutagenesis(np.ones((4, 9)), X[0])
    with pytest.raises(InputError, match="but 30 of the 30 positions of `X` are drawn: give the `start` and `end`"):
        plot_mutagenesis(np.ones((4, 9)), X[0])
    with pytest.raises(InputError, match=r"`effects` has shape \(3, 30\), but \(4, 30\) is needed"):
        plot_mutagenesis(np.ones((3, 30)), X[0])
    with pytest.raises(InputError, match=r"`X` has shape \(30,\)"):
        plot_mutagenesis(np.ones((4, 30)), X[0, 0])
    effects = np.random.RandomState(0).rand(4, 30)
    effects[0, 0] = np.nan
    with pytest.raises(InputError, match="NaN or infinity"):
        plot_mutagenesis(effects, X[0])


@pytest.mark.reliability(
    "pictures", "a map of the mutants of a model that returns several tensors", "an InputError says how to choose one"
)
def test_outputs_that_are_several_tensors_are_refused(outputs, X):
    several = MutagenesisOutputs((outputs.y0, outputs.y0[:, 0]), (outputs.y_hat, outputs.y_hat[..., 0]))
    with pytest.raises(InputError, match=r"a tuple.* but one tensor is drawn: choose it with `target`"):
        plot_mutagenesis(several, X, example_idx=0)

"""How each module of torch.nn is made and called in the study by operation.

In an expression, ``m`` stands for the module and ``x`` for the tensor that depends on the sequences, of shape (rows, 6,
16). A module that is not here is made without arguments and called as ``m(x)``.
"""

from __future__ import annotations

from typing import NamedTuple


class Making(NamedTuple):
    """How a module is made and called.

    Attributes
    ----------
    arguments : str
        Those of its class.
    expression : str
        The call.
    """

    arguments: str = ""
    expression: str = "m(x)"


def each(names: str, *first: str, **more: tuple[str, ...]) -> dict[str, dict[str, Making]]:
    """Return the same for each of these names; words that name a variant are joined by underscores in keywords."""
    made = {"": Making(*first)} if first else {}
    return dict.fromkeys(names.split(), made | {words.replace("_", " "): Making(*one) for words, one in more.items()})


# The operation that a module is, where its name does not say so, or not that of each variant.
OPERATIONS = {
    "CrossEntropyLoss": "cross_entropy",
    "BCELoss": "binary_cross_entropy",
    "BCEWithLogitsLoss": "binary_cross_entropy_with_logits",
    "KLDivLoss": "kl_div",
    "MultiheadAttention": "multi_head_attention_forward",
    "Softmax2d": "softmax",
    "RNN": "rnn_tanh",
    "RNN relu": "rnn_relu",
    "RNNCell": "rnn_tanh_cell",
    "RNNCell relu": "rnn_relu_cell",
    "CrossMapLRN2d": "local_response_norm",
    "UpsamplingBilinear2d": "upsample",
    "UpsamplingNearest2d": "upsample",
}

# What is no operation on a tensor of numbers, or the same as another class, or takes its shapes from a first input.
LEFT_OUT = frozenset(
    """
    Module Container Sequential ModuleList ModuleDict ParameterList ParameterDict DataParallel RNNBase RNNCellBase
    Embedding EmbeddingBag NLLLoss2d SyncBatchNorm CrossMapLRN2d LinearCrossEntropyLoss
    LazyBatchNorm1d LazyBatchNorm2d LazyBatchNorm3d LazyConv1d LazyConv2d LazyConv3d LazyConvTranspose1d
    LazyConvTranspose2d LazyConvTranspose3d LazyInstanceNorm1d LazyInstanceNorm2d LazyInstanceNorm3d LazyLinear
    """.split()
)

_LOSS = "reduction='none'"
_ENCODER = "6, 2, 8, batch_first=True"

MODULES: dict[str, dict[str, Making]] = {
    **each("Threshold", "0.1, -0.3"),
    **each("GELU", "", tanh=("approximate='tanh'",)),
    **each("PReLU", "6"),
    **each("GLU Softmax LogSoftmax Softmin", "1"),
    **each("Softmax2d", "", "m(grid)"),
    # Pooling.
    **each("MaxPool1d", "4", overlapping=("3, 2",), padded=("3, 3, 1",), dilated=("3, 2, 0, 2",)),
    **each("MaxPool2d", "2", "m(grid)", overlapping=("3, 1, 1", "m(grid)")),
    **each("MaxPool3d", "2", "m(cube)", overlapping=("2, 1", "m(cube)")),
    **each("AdaptiveMaxPool1d", "4", overlapping=("5",)),
    **each("AdaptiveMaxPool2d AdaptiveAvgPool2d", "2", "m(grid)"),
    **each("AdaptiveMaxPool3d AdaptiveAvgPool3d", "(1, 2, 2)", "m(cube)"),
    **each("FractionalMaxPool2d", "2, 2, _random_samples=torch.full((999, 6, 2), 0.4)", "m(grid)"),
    **each("FractionalMaxPool3d", "2, (1, 2, 2), _random_samples=torch.full((999, 2, 3), 0.4)", "m(volume)"),
    **each("MaxUnpool1d", "4", "m(*F.max_pool1d(x, 4, return_indices=True))"),
    **each("MaxUnpool2d", "2", "m(*F.max_pool2d(grid, 2, return_indices=True))"),
    **each("MaxUnpool3d", "2", "m(*F.max_pool3d(cube, 2, return_indices=True))"),
    **each("AvgPool1d AdaptiveAvgPool1d", "4"),
    **each("AvgPool2d", "2", "m(grid)"),
    **each("AvgPool3d", "2", "m(cube)"),
    **each("LPPool1d", "2.0, 4"),
    **each("LPPool2d", "2.0, 2", "m(grid)"),
    **each("LPPool3d", "2.0, 2", "m(cube)"),
    # Normalisation.
    **each("LayerNorm", "16", all_channels=("(6, 16)",)),
    **each("RMSNorm", "16"),
    **each("GroupNorm", "2, 6"),
    **each("InstanceNorm1d BatchNorm1d", "6"),
    **each("InstanceNorm2d BatchNorm2d", "6", "m(grid)"),
    **each("InstanceNorm3d BatchNorm3d", "6", "m(cube)"),
    **each("LocalResponseNorm", "3, alpha=1.0"),
    # Linear ones.
    **each("Linear", "16, 5"),
    **each("Bilinear", "16, 16, 4", "m(x, x.flip(1))"),
    **each("Conv1d", "6, 5, 3", strided=("6, 6, 3, 2, 1, groups=2",)),
    **each("ConvTranspose1d", "6, 5, 3"),
    **each("Conv2d ConvTranspose2d", "6, 5, 2", "m(grid)"),
    **each("Conv3d ConvTranspose3d", "6, 5, 2", "m(cube)"),
    **each("ChannelShuffle", "2"),
    **each("PixelShuffle", "2", "m(x.view(-1, 24, 2, 2))"),
    **each("PixelUnshuffle", "2", "m(grid)"),
    **each("Upsample", "None, 2"),
    **each("UpsamplingBilinear2d UpsamplingNearest2d", "None, 2", "m(grid)"),
    **each("CircularPad1d ReflectionPad1d ReplicationPad1d ZeroPad1d", "2"),
    **each("CircularPad2d ReflectionPad2d ReplicationPad2d ZeroPad2d", "1", "m(grid)"),
    **each("CircularPad3d ReflectionPad3d ReplicationPad3d ZeroPad3d", "1", "m(cube)"),
    **each("ConstantPad1d", "2, 0.5"),
    **each("ConstantPad2d", "1, 0.5", "m(grid)"),
    **each("ConstantPad3d", "1, 0.5", "m(cube)"),
    **each("Unflatten", "2, (4, 4)"),
    **each("Fold", "(3, 3), (2, 2)", "m(x.flatten(1).view(-1, 24, 4))"),
    **each("Unfold", "2", "m(grid)"),
    **each("Dropout2d", "", "m(grid)"),
    **each("Dropout3d", "", "m(cube)"),
    # Distances and losses.
    **each("PairwiseDistance", "", "m(x, x.flip(1) + 1)"),
    **each("CosineSimilarity", "2", "m(x[:, :3], x[:, 3:])"),
    **each("L1Loss MSELoss SmoothL1Loss HuberLoss BCELoss", _LOSS, "m(x, x.flip(1))"),
    **each("MultiLabelSoftMarginLoss", _LOSS, "m(x, x.flip(1))"),
    **each("KLDivLoss", _LOSS, "m(x, x.flip(1))"),
    **each("BCEWithLogitsLoss", _LOSS, "m(x, x.flip(1).sigmoid())"),
    **each("CrossEntropyLoss", _LOSS, "m(x, x.flip(1).softmax(1))", classes=(_LOSS, "m(x, classes)")),
    **each("NLLLoss", _LOSS, "m(x, classes)"),
    **each("PoissonNLLLoss", f"False, True, {_LOSS}", "m(x, x.flip(1))"),
    **each("GaussianNLLLoss", _LOSS, "m(x, x.flip(1), x.flip(2).abs() + 1)"),
    **each("SoftMarginLoss HingeEmbeddingLoss", _LOSS, "m(x, s)"),
    **each("MarginRankingLoss", _LOSS, "m(x, x.flip(1), s.expand(len(x), 6, 16))"),
    **each("CosineEmbeddingLoss", _LOSS, "m(x[:, 0], x[:, 1], x.new_ones(len(x)))"),
    **each("TripletMarginLoss TripletMarginWithDistanceLoss", _LOSS, "m(x, x.flip(1), x.flip(2))"),
    **each("MultiMarginLoss", _LOSS, "m(x[:, 0], classes[:, 3])"),
    **each("MultiLabelMarginLoss", _LOSS, "m(x[:, 0], torch.tensor([[3, 7, -1] + [5] * 13] * len(x)))"),
    **each(
        "CTCLoss", _LOSS, "m(x.permute(2, 0, 1).log_softmax(2), classes[:, :5] % 5 + 1, [16] * len(x), [5] * len(x))"
    ),
    **each("AdaptiveLogSoftmaxWithLoss", "16, 12, [4, 8]", "m.log_prob(x[:, 0])"),
    # Recurrent networks and attention.
    **each("LSTM GRU", "6, 4, batch_first=True", "m(x.mT)[0]"),
    **each("RNN", "6, 4, batch_first=True", "m(x.mT)[0]", relu=("6, 4, 1, 'relu', batch_first=True", "m(x.mT)[0]")),
    **each("LSTMCell", "6, 4", "m(x[:, :, 0])[0]"),
    **each("GRUCell", "6, 4", "m(x[:, :, 0])"),
    **each("RNNCell", "6, 4", "m(x[:, :, 0])", relu=("6, 4, nonlinearity='relu'", "m(x[:, :, 0])")),
    **each("MultiheadAttention", "6, 2, batch_first=True", "m(x.mT, x.mT, x.mT)[0]"),
    **each("TransformerEncoderLayer", _ENCODER, "m(x.mT)", norm_first=(_ENCODER + ", norm_first=True", "m(x.mT)")),
    **each("TransformerEncoder", f"nn.TransformerEncoderLayer({_ENCODER}), 2", "m(x.mT)"),
    **each("TransformerDecoderLayer", _ENCODER, "m(x.mT[:, :8], x.mT[:, 8:])"),
    **each("TransformerDecoder", f"nn.TransformerDecoderLayer({_ENCODER}), 2", "m(x.mT[:, :8], x.mT[:, 8:])"),
    **each("Transformer", "6, 2, 1, 1, 8, batch_first=True", "m(x.mT[:, :8], x.mT[:, 8:])"),
}  # fmt: skip

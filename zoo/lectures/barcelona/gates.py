# fmt: off
"""Barcelona (X. Giró-i-Nieto), R13 to R21: gates, and what gated networks are used for."""

import math

import torch
from torch import Tensor, nn

import zoo
from zoo.lectures.ledger import Steps, Within, claim, remark
from zoo.lectures.small_tasks import (
    TOKENS,
    ReNet,
    date_translator,
    dates,
    digits,
    mean_iou,
    nats_per_picture,
    outlines,
    pixel_model,
    segmenter,
    strings_of_pixels,
)
from zoo.models.recurrent import Cells, recurrent_layers

remark("R13", slide=22, topic="history", says="Hochreiter & Schmidhuber, Neural Computation 9(8), 1735-1780, 1997",
       verdict="ok", why="A reference, right as printed: doi 10.1162/neco.1997.9.8.1735; its LSTM had no forget gate.")


@claim("R14", slide=23, topic="recurrence", says="the standard RNN: a neuron with tanh", expected=0.0, tolerance=1e-6,
       verdict="ok", experiments=("shakespeare_rnn",))
def standard_rnn() -> Steps:
    cell = nn.RNNCell(3, 4).requires_grad_(False)
    x, h = torch.randn(1, 3), torch.randn(1, 4)
    z = cell.weight_ih @ x[0] + cell.bias_ih + cell.weight_hh @ h[0] + cell.bias_hh
    yield f"z = W x + U h + b:     {numbers(z)}"
    yield f"h = tanh(z):           {numbers(z.tanh())}"
    theirs = cell(x, h)[0]
    yield f"torch.nn.RNNCell:      {numbers(theirs)}"
    ours = Cells("rnn", 3, 4, 1, 0.0, False, "tanh", True).requires_grad_(False)
    ours.load_state_dict({f"{name}_l0": p for name, p in cell.named_parameters()})
    read = ours(x[None], (h[None],))[0][0, 0]
    yield f"zoo.models.recurrent:  {numbers(read)}"
    return float(torch.stack([z.tanh() - theirs, read - theirs]).abs().max())


@claim("R15", slide="24, 25", topic="gates", says="the cell adds instead of multiplying: no vanishing, no exploding",
       expected={"forget bias 0": 8.8817842e-16, "bias 1": 1.57619115e-7, "bias 5": 0.7147894, "wild": Within(low=10)},
       verdict="loose", experiments=("break_forget_bias",),
       why="Each step still multiplies the state by the forget gate, so memory fades where the gate is well below 1; "
           "and gradients that pass through the gates may still explode.",
       correction="The sum keeps memory and gradient while the forget gate is near 1; gradients are still clipped")
def forget_gates_multiply() -> Steps:
    kept, h, c = {}, torch.zeros(1, 1, 1).double(), torch.ones(1, 1, 1).double()
    x = torch.zeros(1, 50, 1).double()
    for name, bias in (("forget bias 0", 0.0), ("bias 1", 1.0), ("bias 5", 5.0)):
        layers = recurrent_layers("lstm", 1, 1, forget_bias=bias, implementation="reference").double()
        for weight in (layers.weight_ih_l0, layers.weight_hh_l0):
            nn.init.zeros_(weight)  # the gates are what their biases say
        start = c.clone().requires_grad_()
        (slope,) = torch.autograd.grad(layers(x, (h, start))[1][1], start)
        kept[name], f = float(slope), 1 / (1 + math.exp(-bias))
        yield f"{name}: f = sigmoid({bias:g}) = {f:.4f}; dc_50/dc_0 = {f:.4f}^50 = {kept[name]:.2g}"
    layers = recurrent_layers("lstm", 1, 16, implementation="reference").double()
    nn.init.normal_(layers.weight_hh_l0, std=2.0)
    h, c = torch.zeros(1, 1, 16).double(), torch.full((1, 1, 16), 0.1).double()
    jacobian = torch.autograd.functional.jacobian(lambda c: layers(x, (h, c))[1][1].flatten(), c).view(16, 16)
    kept["wild"] = float(torch.linalg.matrix_norm(jacobian, 2))
    yield f"16 cells whose gates read h with weights N(0, 2^2): |dc_50/dc_0| = {kept['wild']:,.0f}"
    return kept


@claim("R16", slide=26, topic="gates", says="three gates, sigmoid units between [0, 1]",
       expected={"gates": 3, "least": Within(0.0, 0.02), "most": Within(0.98, 1.0), "rounds to 1 from z": 16.64},
       tolerance=0.02, verdict="ok by convention", experiments=("shakespeare_lstm",),
       why="Ends included only by rounding: a sigmoid lies between 0 and 1, and float32 makes it 1 from z = 16.6 on.")
def range_of_the_gates() -> Steps:
    trace = zoo.load("shakespeare-lstm").trace("O brother, the king of France is come to see thee")[0]
    gates = {name: values for name, values in trace.items() if name not in ("h", "c")}
    for name, values in gates.items():
        least, most = float(values.min()), float(values.max())
        yield f"{name:6} gate, 512 of them over 49 letters: {least:.1e} to 1 - {1 - most:.1e}"
    z = torch.arange(16.0, 18.0, 0.001)
    first = float(z[torch.sigmoid(z) == 1].min())
    double = 1 - float(torch.sigmoid(torch.tensor(first).double()))
    yield f"float32: sigmoid(z) = 1 from z = {first:.2f} on; there 1 - sigmoid(z) is {double:.1e}, half a step below 1"
    every = torch.stack(list(gates.values()))
    return {"gates": len(gates), "least": float(every.min()), "most": float(every.max()), "rounds to 1 from z": first}


@claim("R17", slide="27-30", topic="gates", says="forget, input, update and output gate, on [h, x] put together",
       expected={"c": 0.790655, "h": 0.368728, "nn.LSTM apart": 0.0}, tolerance=1e-6, verdict="ok")
def lstm_step_by_step() -> Steps:
    h, x, c = 0.2, 1.0, 0.5  # h_(t-1), x_t, c_(t-1)
    weights = {"i": (0.4, 0.6, 0.0), "f": (0.3, 0.2, 1.0), "u": (-0.5, 0.8, 0.0), "o": (0.7, 0.1, 0.0)}  # of h, x; bias
    z = {name: w_h * h + w_x * x + b for name, (w_h, w_x, b) in weights.items()}  # one product with [h, x]
    yield f"[h, x] = [{h}, {x}], c = {c}; z = w_h h + w_x x + b: {', '.join(f'{k} {v:.2f}' for k, v in z.items())}"
    i, f, o = (1 / (1 + math.exp(-z[name])) for name in "ifo")
    u = math.tanh(z["u"])
    yield f"gates, sigmoid(z): forget f = {f:.4f}, input i = {i:.4f}, output o = {o:.4f}; new u = tanh(z) = {u:.4f}"
    new_c = f * c + i * u
    yield f"c_t = f c + i u = {f:.4f} * {c} + {i:.4f} * {u:.4f} = {new_c:.6f}"
    new_h = o * math.tanh(new_c)
    yield f"h_t = o tanh(c_t) = {o:.4f} * {math.tanh(new_c):.4f} = {new_h:.6f}"
    layer = nn.LSTM(1, 1, batch_first=True).double().requires_grad_(False)  # two matrices, W x + U h, and two biases
    for row, (w_h, w_x, b) in enumerate(weights.values()):  # in PyTorch's order: i, f, u, o
        layer.weight_hh_l0[row], layer.weight_ih_l0[row] = w_h, w_x
        layer.bias_ih_l0[row], layer.bias_hh_l0[row] = b, 0.0
    now, *state = (torch.tensor([[[value]]], dtype=torch.float64) for value in (x, h, c))
    _, (theirs_h, theirs_c) = layer(now, tuple(state))
    apart = max(abs(float(theirs_h) - new_h), abs(float(theirs_c) - new_c))
    yield f"torch.nn.LSTM, W x + U h with matrices apart: c {float(theirs_c):.6f}, h {float(theirs_h):.6f}"
    return {"c": new_c, "h": new_h, "nn.LSTM apart": apart}


@claim("R18", slide=31, topic="gates", says="GRU: similar performance as LSTM with less computation",
       expected={"RNN": 98_816, "GRU": 296_448, "LSTM": 395_264, "MACs, GRU / LSTM": 0.75}, verdict="ok",
       experiments=("shakespeare_gru", "shakespeare_lstm", "recall_gru", "recall_lstm"))
def gru_costs_three_quarters() -> Steps:
    counts, macs = {}, {}
    for name, matrices in (("RNN", 1), ("GRU", 3), ("LSTM", 4)):
        layers = recurrent_layers(name.lower(), input_size=128, hidden_size=256)
        found = zoo.inspect(layers, (1, 128))
        counts[name], macs[name] = found.parameters, found.macs
        yield (f"{name:4} 128 -> 256: {matrices} * 256 * (128 + 256 + 2 biases) = {counts[name]:,} parameters, "
               f"{macs[name]:,} MACs a step")
    losses = [zoo.load(f"shakespeare-{cell}").card["metrics"]["test/loss"] for cell in ("gru", "lstm", "rnn")]
    gru, lstm, rnn = losses
    yield f"as measured on Shakespeare, 512 neurons, nats per letter: GRU {gru:.3f}, LSTM {lstm:.3f}, RNN {rnn:.3f}"
    return counts | {"MACs, GRU / LSTM": macs["GRU"] / macs["LSTM"]}


@claim("R19", slide=32, topic="applications", says="an RNN encodes a sentence, another writes its translation",
       expected=Within(0.95, 1.0), trains=True, verdict="shown",
       experiments=("multi30k_gru_attention", "multi30k_transformer", "multi30k_transformer_gpu"),
       why="Cho's encoder-decoder, small: it translates dates, written in words, that it has not seen.")
def date_translation() -> Steps:
    source, target = dates()
    network = date_translator(source[1000:], target[1000:])
    vector = network.start(source[:1])[1]
    yield f"{len(source):,} dates, 1,000 of them unseen; the encoder hands over one vector of {vector.shape[1]} numbers"
    found = network.translate(source[:1000])
    for words, answer in zip(source[:3], found[:3], strict=True):
        yield f"{' '.join(TOKENS[i] for i in words)} -> {''.join(TOKENS[i] for i in answer)}"
    right = [answer.tolist() == wanted[1:-1].tolist() for answer, wanted in zip(found, target[:1000], strict=True)]
    yield f"right in every figure: {sum(right):,} of 1,000"
    return sum(right) / 1000


@claim("R20", slide=33, topic="applications", says="image classification: PixelRNN, RowLSTM, Diagonal BiLSTM on MNIST",
       expected={"answers": 2, "classes": 10, "nats per picture": Within(17.5, 21.5), "without context": 24.36},
       tolerance=0.01, trains=True, verdict="wrong",
       why="PixelRNN predicts the next pixel from those before: a generative model, judged by nats per picture "
           "(paper: 79.20 on binarised MNIST); it names no class.",
       correction="Applications: image generation")
def model_of_pixels() -> Steps:
    (images, labels), (others, _) = digits("train"), digits("test")
    train, test = strings_of_pixels(images), strings_of_pixels(others)
    network = pixel_model(train)
    answers = network(test[:1, :1]).shape[-1]
    classes = len(labels.unique())
    yield f"an LSTM reads 8x8 digits pixel by pixel; each time it has {answers} answers, black or white, not {classes}"
    nats = nats_per_picture(network, test)
    share = train[:, 1:].float().mean(0).clamp(0.001, 0.999)  # how often each pixel is black
    alone = 64 * float(nn.functional.binary_cross_entropy(share.expand(len(test), -1), test[:, 1:].float()))
    yield f"-log p of a new digit: {nats:.2f} nats; blind: 64 ln 2 = {64 * math.log(2):.2f}"
    yield f"each pixel for itself, as often black as in training: {alone:.2f}; what stands before it tells the rest"
    yield "what it can do is draw: zoo figure R20"
    return {"answers": answers, "classes": classes, "nats per picture": nats, "without context": alone}


@claim("R21", slide=34, topic="applications", says="ReSeg: segmentation by recurrent sweeps over the picture",
       expected={"sweeps": Within(0.97, 1.0), "3x3 convolutions": Within(0.74, 0.85)}, trains=True, verdict="shown",
       why="Small: inside or outside of an outline? Sweeps over rows and columns see the whole picture.")
def sweeps_over_a_picture() -> Steps:
    sweeps = ReNet(hidden_size=12)
    convs = nn.Sequential(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(),
                          nn.Conv2d(32, 3, 1))
    found = {}
    for name, network in (("sweeps", sweeps), ("3x3 convolutions", convs)):
        segmenter(network)
        images, labels = outlines(500)
        with torch.no_grad():
            found[name] = mean_iou(network(images).argmax(1), labels)
        count = sum(p.numel() for p in network.parameters())
        yield f"{name}: {count:,} parameters; mean IoU of outside, outline, inside in 500 pictures {found[name]:.3f}"
    yield "two convolutions of 3x3 see 5x5 pixels: farther from the outline they can only guess"
    return found


def numbers(values: Tensor) -> str:
    """In brackets, with four digits after the point."""
    return "[" + " ".join(f"{value:.4f}" for value in values.tolist()) + "]"

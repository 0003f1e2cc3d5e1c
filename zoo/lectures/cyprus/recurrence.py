# fmt: off
"""Cyprus, U37 to U49: time, and recurrent networks."""

import torch
import torch.nn.functional as F
from torch import nn

import zoo
from zoo.lectures.cyprus import runs
from zoo.lectures.ledger import Steps, Within, claim
from zoo.models.recurrent import recurrent_layers, rnn_step


@claim("U37", slide="28, 29", topic="representation", says="time series: trend, seasonality, cyclic variation, noise",
       expected={"a year of seasonality": Within(high=1e-12), "trend found": 0.1, "period of the cycle": 60},
       tolerance=0.004, verdict="ok")
def four_components() -> Steps:
    parts = runs.parts_of_a_series(years=40)
    series = sum(parts.values())
    first = "  ".join(f"{name} {float(values[0]):+.3f}" for name, values in parts.items())
    yield f"480 months; the first: {first}  sum {float(series[0]):+.3f}"
    over_a_year = float(parts["seasonality"].unfold(0, 12, 1).mean(1).abs().max())
    yield f"a mean over 12 months leaves {over_a_year:.0e} of the seasonality: it repeats each year"
    smooth = series.unfold(0, 12, 1).mean(1)  # trend, cycle, and what is left of the noise
    months = torch.arange(len(smooth), dtype=torch.float64)
    line = torch.stack([months, torch.ones_like(months)], 1)
    slope = torch.linalg.lstsq(line, smooth[:, None]).solution
    yield f"a line through these means rises by {float(slope[0, 0]):.4f} a month; the trend is 0.1"
    strength = torch.fft.rfft((smooth - (line @ slope)[:, 0])[:420]).abs()
    period = round(420 / int(strength[1:].argmax() + 1))
    yield f"what the line leaves swings with a period of {period} months, longer than a year: the cycle"
    return {"a year of seasonality": over_a_year, "trend found": float(slope[0, 0]), "period of the cycle": period}


@claim("U38", slide=30, topic="representation", says="quiz: sequential data and time series are the same thing? false",
       expected={"orders of the letters": 180, "the same from both ends": 24, "GAATTC is one": True}, verdict="ok")
def sequences_without_a_clock() -> Steps:
    from itertools import permutations

    site, partner = "GAATTC", str.maketrans("ACGT", "TGCA")
    yield f"{site}, where the enzyme EcoRI cuts DNA: six letters in an order, and no clock"
    orders = {"".join(order) for order in permutations(site)}
    yield f"the same six letters have 6! / (2! 2!) = {len(orders)} orders; it cuts at this one alone: order matters"
    palindromes = {order for order in orders if order.translate(partner)[::-1] == order}
    other = site.translate(partner)[::-1]  # the strand beside it, which is read from the other end
    yield f"A pairs with T, C with G: the strand beside it, read from the other end, is {other}"
    yield f"{len(palindromes)} of the {len(orders)} read the same from both ends: neither end is the earlier one"
    return {"orders of the letters": len(orders), "the same from both ends": len(palindromes),
            "GAATTC is one": site in palindromes}


@claim("U39", slide=32, topic="representation", says="order to space: shifted inputs, moving averages, windows",
       expected={"windows": 8, "with the next value": 7, "means": (2.0, 4.0, 6.0, 6.0, 6.0, 8.0, 7.0, 6.0)},
       tolerance=1e-5, verdict="ok")
def windows_of_a_series() -> Steps:
    series = torch.tensor([1.0, 2, 3, 7, 8, 3, 7, 14, 0, 4])
    windows = series.unfold(0, 3, 1)  # (8, 3)
    yield f"N = {len(series)} values {runs.bits(series)}, T = 3: N - T + 1 = {len(windows)} windows"
    yield f"x_(t-2), x_(t-1), x_t as three inputs: {', '.join(runs.bits(row) for row in windows[:4])}, ..."
    means = F.conv1d(series[None, None], torch.full((1, 1, 3), 1 / 3))[0, 0]  # 1/T sum of x_(t-i), i = 0 .. T - 1
    yield f"moving average 1/T sum_i x_(t-i): {runs.bits(means)}; it is a convolution with 1/3 1/3 1/3"
    pairs = list(zip(windows[:-1], series[3:], strict=True))
    window, value = pairs[0]
    yield f"a window and the value after it, to predict: N - T = {len(pairs)}, {runs.bits(window)} -> {value:g}, ..."
    return {"windows": len(windows), "with the next value": len(pairs), "means": tuple(means.tolist())}


@claim("U40", slide=33, topic="convolution", says="an MLP does not see that it is the same pattern 2 steps later",
       expected={"shifted by": 2, "places that differ, of 10": 6, "cosine": 0.25, "filter, maximum": (3.0, 3.0),
                 "filter, where": (2, 4)},
       tolerance=1e-6, verdict="ok")
def same_pattern_later() -> Steps:
    first, second = torch.tensor([[0.0, 0, 1, 1, 1, 0, 0, 1, 0, 0], [0, 0, 0, 0, 1, 1, 1, 0, 0, 1]])
    shift = next(s for s in range(10) if torch.equal(second[s:], first[: 10 - s]) and not second[:s].any())
    yield f"a = {runs.bits(first)}   b = {runs.bits(second)}: b is a, {shift} steps later"
    different = int((first != second).sum())
    cosine = float(F.cosine_similarity(first, second, dim=0))
    dot = float(first @ second)
    yield f"to an MLP, input by input: {different} of 10 differ; a . b = {dot:g}, cosine {dot:g} / (2 * 2) = {cosine:g}"
    responses = F.conv1d(torch.stack([first, second])[:, None], torch.ones(1, 1, 3))[:, 0]  # (2, 8)
    most, where = responses.max(1)
    yield f"the filter 1 1 1 on a: {runs.bits(responses[0])}; on b: {runs.bits(responses[1])}"
    yield f"the same maximum {most[0]:.0f}, in a at {int(where[0])}, in b at {int(where[1])}"
    return {"shifted by": shift, "places that differ, of 10": different, "cosine": cosine,
            "filter, maximum": tuple(most.tolist()), "filter, where": tuple(where.tolist())}


@claim("U41", slide=35, topic="recurrence", says="a discrete-time dynamic neuron: a(t+1) from a(t) and the inputs",
       expected={"impulse": (1.0, 0.5, 0.25, 0.125), "constant input": 2.0}, tolerance=1e-6, verdict="extraction",
       why="The signs of the formula are lost; run here as a(t+1) = r a(t) + sum w_i x_i(t), y = g(a), the usual one.")
def dynamic_neuron() -> Steps:
    def run(inputs: list[float], r: float = 0.5, w: float = 1.0) -> list[float]:
        a, activities = 0.0, []
        for x in inputs:
            a = r * a + w * x
            activities.append(a)
        return activities

    impulse, constant = run([1, 0, 0, 0]), run([1] * 60)
    yield "a(t+1) = 0.5 a(t) + x(t), from a(0) = 0"
    yield f"an impulse 1 0 0 0: a = {' '.join(f'{a:g}' for a in impulse)}: it fades by r at each step"
    first = " ".join(f"{a:g}" for a in constant[:4])
    yield f"a constant input 1 1 1 ...: a = {first} ... -> {constant[-1]:g} = 1 / (1 - r)"
    return {"impulse": tuple(impulse), "constant input": constant[-1]}


@claim("U42", slide=36, topic="recurrence", says="delay D: y_j(t) = w y_i(t - D); such connections are recurrent",
       expected={"arrives at": (1, 2, 3), "a delay line answers for": 3, "a loop answers for": 10},
       verdict="ok by convention",
       why="As a definition; delays without a loop, as in Waibel's time-delay network, are mostly called feed-forward.")
def delayed_connections() -> Steps:
    y_i = torch.zeros(10)
    y_i[1] = 1
    arrivals = []
    for delay in (0, 1, 2):
        y_j = 0.5 * F.pad(y_i, (delay, 0))[:10]
        arrivals.append(int(y_j.argmax()))
        yield f"D = {delay}: y_j(t) = 0.5 y_i(t - {delay}): {' '.join(f'{y:g}' for y in y_j[:6].tolist())}"
    line = sum(F.pad(y_i, (delay, 0))[:10] for delay in (0, 1, 2))
    loop, state = [], 0.0
    for x in [1.0] + [0.0] * 9:
        state = x + 0.5 * state
        loop.append(state)
    yield f"three delays side by side: an impulse is answered for {int((line > 0).sum())} steps, then forgotten"
    yield f"a loop, y(t) = x(t) + 0.5 y(t-1): {' '.join(f'{y:g}' for y in loop[:5])} ... never ends: this is memory"
    return {"arrives at": tuple(arrivals), "a delay line answers for": int((line > 0).sum()),
            "a loop answers for": sum(y > 0 for y in loop)}


@claim("U43", slide=38, topic="recurrence", says="two neurons: y1 from x and both a step ago, y2 from y1 now",
       expected={"y1": (1.0, 0.0, -0.25), "y2": (2.0, 1.0, 0.0), "as a matrix": Within(high=1e-12)},
       tolerance=1e-9, verdict="ok")
def two_neurons_three_steps() -> Steps:
    wx1, w11, w21, w12, w22 = 1.0, 0.5, -0.25, 2.0, 0.5
    yield f"wx1 = {wx1:g}, w11 = {w11:g}, w21 = {w21:g}, w12 = {w12:g}, w22 = {w22:g}; x = 1, 0, 0; y1(0) = y2(0) = 0"
    y1 = y2 = 0.0
    run = []
    for t, x in enumerate((1.0, 0.0, 0.0), 1):
        before = (y1, y2)
        y1 = wx1 * x + w11 * before[0] + w21 * before[1]
        y2 = w12 * y1 + w22 * before[1]  # y1 of now: this connection has no delay
        run.append((y1, y2))
        yield (f"t = {t}  y1 = 1*{x:g} + 0.5*{before[0]:g} - 0.25*{before[1]:g} = {y1:g}"
               f"   y2 = 2*{y1:g} + 0.5*{before[1]:g} = {y2:g}")
    now = torch.tensor([[0.0, 0.0], [w12, 0.0]], dtype=torch.float64)  # (I - now) y(t) = ago y(t-1) + in x(t)
    ago = torch.tensor([[w11, w21], [0.0, w22]], dtype=torch.float64)
    unmix, y = torch.linalg.inv(torch.eye(2, dtype=torch.float64) - now), torch.zeros(2, dtype=torch.float64)
    worst = 0.0
    for x, expected in zip((1.0, 0.0, 0.0), run, strict=True):
        y = unmix @ (ago @ y + torch.tensor([wx1 * x, 0.0], dtype=torch.float64))
        worst = max(worst, float((y - torch.tensor(expected, dtype=torch.float64)).abs().max()))
    yield f"as a matrix, y(t) = (I - W0)^-1 (W1 y(t-1) + Wx x(t)): differs by {worst:.0e}"
    return {"y1": tuple(a for a, _ in run), "y2": tuple(b for _, b in run), "as a matrix": worst}


@claim("U44", slide="39-42", topic="recurrence", says="BPTT: unroll, propagate errors from T to 1, add up, update once",
       expected=Within(high=1e-12), verdict="ok", experiments=("abc_rnn",))
def shared_weights_unrolled() -> Steps:
    steps = 5
    x, target = torch.randn(1, steps, 3, dtype=torch.float64), torch.randn(1, steps, 4, dtype=torch.float64)
    shared = recurrent_layers("rnn", input_size=3, hidden_size=4, implementation="reference").double()
    F.mse_loss(shared(x)[0], target).backward()
    w = {name.removesuffix("_l0"): p for name, p in shared.named_parameters()}
    yield f"one RNN of 3 inputs and 4 neurons, unrolled over T = {steps}; its weights are used {steps} times"

    copies = [{name: p.detach().clone().requires_grad_() for name, p in w.items()} for _ in range(steps)]
    state, outputs = (torch.zeros(1, 4, dtype=torch.float64),), []
    for x_t, copy in zip(x.unbind(1), copies, strict=True):  # now each step has weights of its own
        state, _ = rnn_step(x_t, state, copy, "tanh")
        outputs.append(state[0])
    F.mse_loss(torch.stack(outputs, 1), target).backward()
    entry = [float(copy["weight_ih"].grad[0, 0]) for copy in copies]
    total = float(w["weight_ih"].grad[0, 0])
    yield "a feed-forward net of 5 layers with copies of the weights: dL/dWhx[1,1] of copy t = 1 .. 5, and their sum"
    yield f"  {' '.join(f'{g:+.5f}' for g in entry)}   sum {sum(entry):+.5f}   shared weights: {total:+.5f}"
    difference = max(float((sum(c[name].grad for c in copies) - p.grad).abs().max()) for name, p in w.items())
    yield f"largest difference over all {sum(p.numel() for p in w.values())} parameters: {difference:.0e}"
    return difference


@claim("U45", slide=42, topic="recurrence", says="weight sharing lets RNNs read sequences of variable length",
       expected={"lengths read": 48, "parameters": 5_384, "with weights of their own for 50 steps": 243_720},
       verdict="ok", experiments=("reviews_lstm",))
def any_length() -> Steps:
    network = zoo.create("sequence_rnn", num_classes=8, vocab_size=10, in_features=0, cell="rnn", hidden_size=64)
    with torch.no_grad():
        read = [length for length in range(3, 51) if network(torch.zeros(1, length, dtype=torch.int64)).shape == (1, 8)]
    yield f"one network reads sequences of {read[0]} to {read[-1]} steps: {len(read)} lengths, 8 logits each time"
    recurrent, output = (sum(p.numel() for p in part.parameters()) for part in (network.layers, network.output))
    yield f"parameters, whatever the length: 64 * (10 + 64 + 2) + 8 * (64 + 1) = {recurrent + output:,}"
    yield f"were the weights different at each of 50 steps, a feed-forward net: 50 * {recurrent:,} + {output}"
    return {"lengths read": len(read), "parameters": recurrent + output,
            "with weights of their own for 50 steps": 50 * recurrent + output}


@claim("U46", slide="43-48", topic="recurrence", says="five modes: 1 to 1, 1 to N, N to 1, N to M, N to N in step",
       expected={"1 to 1": (1, 3), "1 to N": (1, 5), "N to 1": (1, 3), "N to M": (1, 4, 20), "N to N": (1, 6, 4)},
       verdict="ok", experiments=("reviews_lstm", "multi30k_gru_attention", "shakespeare_lstm"))
def five_modes() -> Steps:
    picture, letters = torch.randn(1, 7), torch.tensor([[0, 1, 2, 3, 0, 1]])
    classifier = zoo.create("mlp", in_features=7, num_classes=3)
    writer = zoo.create("char_rnn", vocabulary="abcd", cell="rnn", hidden_size=8)
    critic = zoo.create("sequence_rnn", num_classes=3, vocab_size=4, in_features=0, hidden_size=8)
    translator = zoo.create("seq2seq", vocab_size=20, hidden_size=8, embedding_dim=8)
    state, letter, caption = (nn.Linear(7, 8)(picture)[None],), letters[:, :1], []
    for _ in range(5):  # what is written is read at the next step
        logits, state = writer.unroll(letter, state)
        letter = logits.argmax(2)
        caption.append(letter)
    source, target = torch.randint(4, 20, (1, 6)), torch.randint(4, 20, (1, 4))
    modes = {
        "1 to 1": ("a picture -> its class", picture, classifier(picture)),
        "1 to N": ("a picture -> its caption", picture, torch.cat(caption, 1)),
        "N to 1": ("a review -> how it is meant", letters, critic(letters)),
        "N to M": ("a sentence -> its translation", source, translator(source, target)),
        "N to N": ("each frame -> its label", letters, writer(letters)),
    }
    for mode, (task, given, made) in modes.items():
        what = "letters" if mode == "1 to N" else "logits"
        yield f"{mode}   {task:30}  {runs.size(given)} -> {runs.size(made)} {what}"
    return {mode: tuple(made.shape) for mode, (_, _, made) in modes.items()}


@claim("U47", slide=49, topic="recurrence", says="a small gap, clouds and sky: RNNs can learn to use the past",
       expected={"gap 1": Within(0.97, 1.0), "gap 3": Within(0.97, 1.0)}, verdict="shown", trains=True,
       experiments=("recall_rnn", "pydoc_lstm"),
       why="A symbol is asked for after 1 to 3 others; a plain RNN with 64 neurons.")
def recall_over_a_short_gap() -> Steps:
    curve = runs.recall_curve("rnn", [1, 2, 3], lr=3e-3)
    yield "recall one of 8 symbols after 1, 2 or 3 others; a plain RNN, 500 batches of 64"
    yield f"accuracy at gap 1: {curve[0]:.3f}, gap 2: {curve[1]:.3f}, gap 3: {curve[2]:.3f}   (guessing: 0.125)"
    return {"gap 1": curve[0], "gap 3": curve[2]}


@claim("U48", slide=50, topic="recurrence", says="as the gap grows, RNNs become unable to connect the information",
       expected={"RNN, gap 1": Within(0.85, 1.0), "RNN, gap 40": Within(0.08, 0.45), "LSTM, gap 40": Within(0.95, 1.0)},
       verdict="shown", trains=True,
       experiments=("recall_rnn", "recall_irnn", "recall_gru", "recall_lstm", "recall_transformer"),
       why="The first symbol is asked for after a gap of others. Both saw as many sequences, each at a rate of its "
           "own; trained on short gaps alone the RNN holds them (U47).")
def recall_over_a_gap() -> Steps:
    gaps = [1, 2, 5, 10, 20, 40]
    yield "recall one of 8 symbols after a gap of others, all gaps trained together; 500 batches of 64"
    yield f"gap            {' '.join(f'{gap:5}' for gap in gaps)}    (guessing: 0.125)"
    curves = {"RNN": runs.recall_curve("rnn", gaps, lr=3e-3), "LSTM": runs.recall_curve("lstm", gaps, lr=1e-2)}
    for name, curve in curves.items():
        yield f"{name:5} accuracy {' '.join(f'{share:5.2f}' for share in curve)}"
    return {"RNN, gap 1": curves["RNN"][0], "RNN, gap 40": curves["RNN"][-1], "LSTM, gap 40": curves["LSTM"][-1]}


@claim("U49", slide=7, topic="recurrence", says="outcomes: vanishing gradients, echo state networks, LSTM, embeddings",
       expected={"weights, trained and fixed": (202, 40_400), "error": Within(0.0, 0.001),
                 "persistence": Within(0.14, 0.15)},
       verdict="shown", experiments=("mackey_glass_esn",),
       why="The text ends at slide 50, before these outcomes; run is the one that no other lecture has, the echo state "
           "network.")
def echo_state_network() -> Steps:
    from zoo.registry import build

    data = build("data", "mackey_glass", {"train_size": 600, "length": 50})
    data.load()
    network = zoo.create("echo_state_network", in_features=1)
    fixed, trained = (sum(x.numel() for x in part) for part in (network.buffers(), network.parameters()))
    yield f"200 neurons: fixed weights 200 * (200 + 1 + 1) = {fixed:,}; read-out 200 + 1 + 1 = {trained}"
    network.update(data.train, lr=0.0)
    found = data.probe(network)
    windows = f"{len(data.train[0])} windows of {data.length}"
    yield f"chaotic series of Mackey and Glass, {windows}: the read-out is the solution of linear equations"
    yield f"next value, error as a share of the deviation: {found['nrmse']:.5f}"
    yield f"the same for 'as the last value':              {found['nrmse_of_persistence']:.5f}"
    return {"weights, trained and fixed": (trained, fixed), "error": found["nrmse"],
            "persistence": found["nrmse_of_persistence"]}

# fmt: off
"""Shanghai, S34 to S41: gradients through time, gates, applications."""

import math

import torch
import torch.nn.functional as F
from torch import nn

import zoo
from zoo.lectures.ledger import Steps, Within, claim
from zoo.lectures.shanghai import runs
from zoo.lectures.shanghai.runs import count, ridge, slope_of
from zoo.models.recurrent import recurrent_layers


@claim("S34", slide="Standard RNN Gradient Flow", topic="recurrence",
       says="many values > 1 explode, many < 1 vanish: activation, weights, architecture",
       expected={"0.9": 0.005153775, "1.0": 1.0, "1.1": 117.390853}, tolerance=1e-5, verdict="ok",
       experiments=("break_no_clipping",))
def values_above_and_below_one() -> Steps:
    from zoo.lectures import barcelona

    return (yield from barcelona.recurrence.powers_of_a_matrix())


@claim("S35", slide="Exploding Gradients", topic="recurrence",
       says="gradient clipping scales big gradients",
       expected={"norm": Within(low=100.0), "clipped": 1.0, "cosine": 1.0, "a small one": 0.5}, tolerance=1e-4,
       verdict="ok", experiments=("break_no_clipping",))
def gradient_clipping() -> Steps:
    layer = recurrent_layers("rnn", input_size=3, hidden_size=16, nonlinearity="relu")
    with torch.no_grad():
        layer.weight_hh_l0.copy_(1.3 * torch.eye(16))
    layer(torch.randn(4, 30, 3))[0][:, -1].sum().backward()
    before = torch.cat([p.grad.flatten() for p in layer.parameters()])
    yield f"ReLU, Wh = 1.3 I, 30 steps: 1.3^30 = {1.3**30:,.0f}, and the gradient's norm is {before.norm().item():,.0f}"
    norm = nn.utils.clip_grad_norm_(layer.parameters(), max_norm=1.0).item()
    after = torch.cat([p.grad.flatten() for p in layer.parameters()])
    cosine = F.cosine_similarity(before, after, dim=0).item()
    yield f"clipped at c = 1: g <- g * 1 / {norm:,.0f}, norm {after.norm().item():.4f}, cosine with g {cosine:.4f}"
    small = nn.Parameter(torch.zeros(2))
    small.grad = torch.tensor([0.3, 0.4])
    nn.utils.clip_grad_norm_([small], max_norm=1.0)
    yield f"a gradient of norm 0.5 stays as it is: {small.grad.norm().item():.4f}"
    return {"norm": norm, "clipped": after.norm().item(), "cosine": cosine, "a small one": small.grad.norm().item()}


@claim("S36", slide="Why are vanishing gradients a problem?", topic="recurrence",
       says="errors from further back have smaller gradients; short-term bias",
       expected={"correlation": Within(-1.0, -0.97), "factor per step": Within(0.4, 0.65),
                 "last 5 of 40": Within(0.9, 1.0)},
       verdict="ok", experiments=("recall_rnn",))
def gradient_against_lag() -> Steps:
    layer = recurrent_layers("rnn", input_size=4, hidden_size=64, implementation="reference")
    norms = runs.gradient_by_lag(layer, steps=40, batch=16)  # (40,)
    shown = (0, 5, 10, 20, 30, 39)
    yield "an RNN of 64 neurons as it starts, 40 steps; gradient of h_40 by the input k steps back"
    yield f"k       {'  '.join(f'{k:7}' for k in shown)}"
    yield f"|dh/dx| {'  '.join(f'{norms[k].item():7.1e}' for k in shown)}"
    lags, logs = torch.arange(5.0, 40.0), norms[5:].log()
    factor, correlation = math.exp(slope_of(lags, logs)), torch.corrcoef(torch.stack([lags, logs]))[0, 1].item()
    yield f"log |dh/dx| against k is a line (correlation {correlation:.4f}): each step back costs a factor {factor:.3f}"
    share = (norms[:5].sum() / norms.sum()).item()
    yield f"{100 * share:.1f} % of it all come from the last 5 steps: what is learnt is the short term"
    return {"correlation": correlation, "factor per step": factor, "last 5 of 40": share}


@claim("S37", slide="Trick #1, Trick #2", topic="recurrence",
       says="ReLU; weights start as the identity, biases at zero",
       expected={"ReLU, I": 1.0, "tanh, 0.9 I": 0.003655, "sigmoid, I": 0.0}, tolerance=1e-6, verdict="ok",
       experiments=("recall_irnn",))
def identity_start() -> Steps:
    start = recurrent_layers("irnn", input_size=1, hidden_size=16)
    identity = torch.equal(start.weight_hh_l0.detach(), torch.eye(16)) and not start.bias_hh_l0.any()
    yield f"the zoo's cell=irnn starts with Wh = I and b = 0: {'yes' if identity else 'no'}"
    starts, norms = {"ReLU, I": ("relu", 1.0), "tanh, 0.9 I": ("tanh", 0.9), "sigmoid, I": ("sigmoid", 1.0)}, {}
    for name, (nonlinearity, scale) in starts.items():
        kept = runs.kept_gradient(nonlinearity, scale, steps=50)
        norms[name] = kept[-1].item()
        yield f"{name + ':':12} |dh_t / dh_0|, t = 1, 10, 50:  {kept[0]:.4f}  {kept[9]:.1e}  {kept[49]:.1e}"
    yield f"0.9^50 = {0.9**50:.4f}; the slope of tanh takes the rest; that of the sigmoid is at most 1/4"
    return norms


@claim("S38", slide="Long Short Term Memory (LSTMs)", topic="gates",
       says="forget, store, update, output; partially uninterrupted gradient flow",
       expected={"c_t = f c + i u": Within(high=1e-5), "best neuron": Within(0.2, 0.7),
                 "all gates at 1/2": Within(high=1e-29)},
       verdict="ok", experiments=("recall_lstm", "break_forget_bias"))
def gates_over_a_gap() -> Steps:
    from zoo.models.recurrent import readable

    network = zoo.load("recall-lstm")
    (x,) = network.inputs(["a" + "bcdefgh" * 14 + "bc" + "?"])  # a, a gap of 100 symbols, and the question
    cells = readable(network.layers)
    with torch.no_grad():
        vectors = network.embed(x)
        trace = {name: values[0] for name, values in cells.trace(vectors)[2][0].items()}  # (T, H) each
        w, h = cells.weights(0, ""), torch.cat([torch.zeros(1, 64), trace["h"][:-1]])
        u = (vectors[0] @ w["weight_ih"].T + w["bias_ih"] + h @ w["weight_hh"].T + w["bias_hh"])[:, 128:192].tanh()
        update = trace["forget"][1:] * trace["c"][:-1] + trace["input"][1:] * u[1:]
        answer = network(x).softmax(1)[0, 0].item()
    difference = (update - trace["c"][1:]).abs().max().item()
    yield f"c_t = f c_(t-1) + i u: forget, store, update; h_t = o tanh(c_t): output. Holds within {difference:.0e}"
    kept = trace["forget"][1:-1].prod(0)  # dc_101 / dc_1 along the cell, of each neuron
    yield f"a trained LSTM is told 'a', then 100 other symbols: asked, it says a with P = {answer:.3f}"
    best = kept.sort(descending=True).values
    first = ", ".join(f"{value:.2f}" for value in best[:5].tolist())
    yield f"dc_101 / dc_1 = f_2 f_3 ... f_101, the best of 64 neurons: {first}, ..."
    yield f"the median neuron: {kept.median().item():.0e}; all gates at 1/2: 0.5^100 = {0.5**100:.0e}. Hence: partially"
    return {"c_t = f c + i u": difference, "best neuron": best[0].item(), "all gates at 1/2": 0.5**100}


@claim("S39", slide="Example Task: Music Generation", topic="applications",
       says="sheet music in, the next character of sheet music out",
       expected={"tunes": 16, "parse": Within(13, 16), "full bars": Within(0.75, 1.0)}, verdict="shown",
       experiments=("irish_lstm",),
       why="A trained LSTM writes Irish tunes in ABC notation; whether they please is not computed.")
def irish_tunes() -> Steps:
    from zoo.data.irish import Irish, full_bars, problem

    network = zoo.load("irish-lstm")
    generator = torch.Generator().manual_seed(0)
    drawn = network.sample(network.encode(Irish.prompt).repeat(16, 1), 450, temperature=0.7, generator=generator)
    tunes = ["X:" + network.decode(row).partition("\n\n")[0] for row in torch.stack(list(drawn), 1)]
    good = [tune for tune in tunes if problem(tune) is None]
    bars = [full_bars(tune) for tune in good]
    full, of = (sum(column) for column in zip(*bars, strict=True))
    yield f"16 tunes, character by character: {len(good)} parse as ABC, {full} of {of} bars are as long as their metre"
    for line in [line for line in good[0].splitlines() if line[:2] not in ("X:", "Z:", "M:", "L:")][:4]:
        yield f"  {line}"
    return {"tunes": len(tunes), "parse": len(good), "full bars": full / of}


@claim("S40", slide="Example Task: Sentiment Classification", topic="applications",
       says="two tweets, one positive, one negative",
       expected={"words told apart": Within(0.8, 1.0), "course": Within(0.05, 0.6), "snow": Within(-0.6, -0.01)},
       verdict="shown", experiments=("reviews_lstm", "reviews_transformer"),
       why="Computed with word vectors, a linear layer and the words of content; whole reviews: see the experiments.")
def two_tweets() -> Steps:
    network = zoo.load("english-skipgram")
    vectors = network.unit_vectors()
    praise = ("good great best excellent wonderful brilliant happy love beautiful enjoy perfect success fine pleased "
              "delightful superb fun glad win helpful").split()
    blame = ("bad worst terrible awful poor sad hate ugly boring failure wrong unhappy miserable disappointing stupid "
             "lack loss painful lose unfortunately").split()
    x = torch.stack([vectors[network.number(word)] for word in praise + blame])  # (40, D)
    y = torch.cat([torch.ones(20), -torch.ones(20)])
    right = sum((ridge(x[rest], y[rest]) @ x[i] * y[i]).item() > 0 for i, rest in all_but_one(40))
    yield f"w = (X'X + I)^-1 X'y, X: vectors of 40 words, praise +1, blame -1; leave-one-out: {right} of 40 right"
    w, scores = ridge(x, y), {}
    tweets = {"course": "introduction definitely one best courses kind available online",
              "snow": "not mind bit snow right now had any winter"}
    for name, text in tweets.items():
        each = {word: (w @ vectors[network.number(word)]).item() for word in text.split()}
        scores[name] = sum(each.values()) / len(each)
        ranked = sorted(each, key=lambda word: -abs(each[word]))
        most = ", ".join(f"{word} {each[word]:+.2f}" for word in ranked[:4])
        yield f"{name}: mean {scores[name]:+.3f}; {most}"
    yield "order is lost here: that 'not mind' wishes for snow needs a network that reads (S33)"
    return {"words told apart": right / 40} | scores


@claim("S41", slide="Limitations of RNNs", topic="attention",
       says="RNNs: slow, short memory; dense over all steps: not scalable, no order",
       expected={"steps in a row": (1_000, 1), "dense, T = 10": 41_024, "dense, T = 1000": 4_096_064, "RNN": 8_320,
                 "dense sees order": True, "sum sees order": False},
       verdict="ambiguous", experiments=("recall_transformer", "recall_rnn"),
       why="A dense layer over the steps side by side has weights of its own for each place, so it does see order; one "
           "over their sum does not. It shares nothing between places.",
       correction="Dense over all steps: not scalable, fixed length, nothing shared between places")
def limits_of_recurrence() -> Steps:
    d, h = 64, 64
    rnn = recurrent_layers("rnn", d, h, implementation="reference")
    transformer = zoo.create("sequence_transformer", num_classes=2, vocab_size=0, in_features=d, context_length=1_000)
    in_a_row = tuple(max(layer.times for layer in zoo.inspect(network, (1_000, d)).layers)
                     for network in (rnn, transformer))
    yield f"T = 1,000: an RNN uses its layer {in_a_row[0]:,} times in a row; a Transformer: {in_a_row[1]}"
    dense = {steps: count(nn.Linear(steps * d, h)) for steps in (10, 1_000)}
    yield f"parameters, d = h = 64: dense T d h + h = {dense[10]:,} (T = 10), {dense[1_000]:,} (T = 1,000)"
    yield f"  RNN, whatever T: 64 * (64 + 64 + 2) = {count(rnn):,}"
    layer, few = nn.Linear(10 * d, h), torch.randn(1, 10, d)
    side_by_side = not torch.allclose(layer(few.flatten(1)), layer(few.flip(1).flatten(1)), atol=1e-4)
    once = nn.Linear(d, h)
    in_sum = not torch.allclose(once(few.sum(1)), once(few.flip(1).sum(1)), atol=1e-4)
    yield f"steps in reverse order change the output: side by side {side_by_side}, as a sum {in_sum}"
    return {"steps in a row": in_a_row, "dense, T = 10": dense[10], "dense, T = 1000": dense[1_000],
            "RNN": count(rnn), "dense sees order": side_by_side, "sum sees order": in_sum}


def all_but_one(n: int) -> list[tuple[int, list[int]]]:
    """Each of n items, and the others."""
    return [(i, [j for j in range(n) if j != i]) for i in range(n)]

# fmt: off
"""Prague (P. Pošík), C54 to C65: recurrent networks, and the rest."""

import math

import torch
from torch import Tensor, nn

import zoo
from zoo.lectures.ledger import CLAIMS, Steps, Within, claim, remark
from zoo.lectures.prague.runs import (
    LONGEST,
    WORDS,
    captioned,
    keep_for,
    latches,
    trained_captioner,
)


@claim("C54", slide="61, 62", topic="recurrence", says="feed-forward nets have no memory and a fixed number of steps",
       expected={"change": 0.0, "gradient": 0.0}, verdict="ok")
def no_memory() -> Steps:
    from zoo.lectures import barcelona

    return (yield from barcelona.recurrence.mlp_sees_only_now())


@claim("C55", slide=63, topic="recurrence", says="unrolled in time: copies of the same network, a message to the next",
       expected=Within(high=1e-12), verdict="ok", experiments=("abc_rnn",))
def copies_of_one_network() -> Steps:
    from zoo.lectures import cyprus

    return (yield from cyprus.recurrence.shared_weights_unrolled())


@claim("C56", slide=64, topic="recurrence", says="five ways of sequences going in and coming out",
       expected={"1 to 1": (1, 3), "1 to N": (1, 5), "N to 1": (1, 3), "N to M": (1, 4, 20), "N to N": (1, 6, 4)},
       verdict="ok", experiments=("reviews_lstm", "multi30k_gru_attention", "shakespeare_lstm"))
def five_modes() -> Steps:
    from zoo.lectures import cyprus

    return (yield from cyprus.recurrence.five_modes())


@claim("C57", slide=65, topic="backpropagation", says="BPTT: backprop on the unfolded net, gradients summed",
       expected=Within(high=1e-12), verdict="ok", experiments=("abc_rnn",))
def gradients_summed_over_copies() -> Steps:
    from zoo.lectures import cyprus

    return (yield from cyprus.recurrence.shared_weights_unrolled())


@claim("C58", slide="66, 67", topic="recurrence", says="clouds are in the [sky]; born in France ... fluently [French]",
       expected={"RNN, gap 1": Within(0.75, 1.0), "RNN, gap 40": Within(0.1, 0.5), "LSTM, gap 40": Within(0.97, 1.0)},
       verdict="shown", trains=True, experiments=("recall_rnn", "recall_irnn", "recall_gru", "recall_lstm"),
       why="Symbols stand for words: one to be recalled, a gap of others, the question. On short gaps alone the RNN "
           "does better still (Cyprus U47).")
def clouds_and_france() -> Steps:
    from zoo.lectures import cyprus

    return (yield from cyprus.recurrence.recall_over_a_gap())


@claim("C59", slide=67, topic="recurrence", says="in theory RNNs hold long dependencies, in practice not",
       expected={"by hand, gap 1000": 1.0, "RNN, gap 1": Within(0.75, 1.0), "RNN, gap 40": Within(0.1, 0.5),
                 "LSTM, gap 40": Within(0.97, 1.0)},
       verdict="shown", trains=True, experiments=("recall_rnn", "recall_lstm"),
       why="Eight neurons with weights written by hand recall over any gap; gradient descent does not find them.")
def in_theory_and_in_practice() -> Steps:
    from zoo.lectures import cyprus

    network = latches()
    first, others = torch.randint(8, (200, 1)), torch.randint(8, (200, 1000))
    question = torch.full((200, 1), 9)
    with torch.no_grad():
        answers = network(torch.cat([first, others, question], 1)).argmax(1)
    share = float((answers == first[:, 0]).float().mean())
    yield "in theory: h_t = tanh(4 h_(t-1) + s), s = +1 for neuron k's own symbol, -1 for another; h_0 = 0"
    now, later = math.tanh(1), math.tanh(4 * math.tanh(1) - 1)
    yield f"  its own symbol first: h = tanh(1) = {now:.2f}; then another: tanh(4 * {now:.2f} - 1) = {later:.2f}"
    yield f"  eight such neurons recall one of 8 symbols over 1,000 others in {100 * share:.0f} % of 200 sequences"
    yield "in practice:"
    return {"by hand, gap 1000": share} | (yield from cyprus.recurrence.recall_over_a_gap())


@claim("C60", slide=68, topic="gates", says="LSTM, 1997; all successful RNN applications were achieved by it",
       expected={"GRU, gap 20": Within(0.95, 1.0), "share of the LSTM's parameters": 0.75}, verdict="loose",
       trains=True, experiments=("recall_gru", "shakespeare_gru"),
       why="1997 is right. But RNN language models (Mikolov 2010) and GRU translation (Cho 2014) did without it.",
       correction="Most of the successful applications")
def not_only_the_lstm() -> Steps:
    from zoo.lectures.cyprus.runs import recall_curve

    gaps = [1, 20]
    curve = recall_curve("gru", gaps, lr=1e-2)
    yield f"a GRU recalls a symbol over 1 other in {100 * curve[0]:.0f} %, over 20 others in {100 * curve[1]:.0f} %"
    gru, lstm = (zoo.load(f"shakespeare-{cell}") for cell in ("gru", "lstm"))
    counts = [sum(p.numel() for p in network.layers.parameters()) for network in (gru, lstm)]
    yield f"recurrent parameters of the zoo's two that write Shakespeare: GRU {counts[0]:,}, LSTM {counts[1]:,}"
    losses = [network.card["seeds"]["test/loss"]["mean"] for network in (gru, lstm)]
    yield f"their loss, as their cards record it: {losses[0]:.3f} and {losses[1]:.3f} nats per letter"
    return {"GRU, gap 20": curve[-1], "share of the LSTM's parameters": counts[0] / counts[1]}


@claim("C61", slide=71, topic="gates", says="LSTM: state, forget gate, input gate, output gate",
       expected={"difference": Within(high=1e-12), "kept, f = 1": 1.0, "kept, f = 0.5": 7.888609e-31},
       verdict="ok by convention", experiments=("shakespeare_lstm", "break_forget_bias"),
       why="Of the LSTM in use today. That of 1997 (slide 68) had no forget gate, which Gers et al. added in 2000; the "
           "slide's formulas are pictures that the text lacks.")
def four_parts_of_an_lstm() -> Steps:
    cell = nn.LSTMCell(3, 4).double().requires_grad_(False)
    x, h, c = (torch.randn(1, size, dtype=torch.float64) for size in (3, 4, 4))
    i, f, u, o = (cell.weight_ih @ x[0] + cell.bias_ih + cell.weight_hh @ h[0] + cell.bias_hh).chunk(4)
    i, f, u, o = i.sigmoid(), f.sigmoid(), u.tanh(), o.sigmoid()
    yield f"forget f = s(W_f [x, h] + b) = {vector(f)}   input  i = {vector(i)}"
    yield f"output o = {vector(o)}                     new    u = tanh(...) = {vector(u)}"
    state = f * c[0] + i * u
    output = o * state.tanh()
    yield f"state  c' = f c + i u = {vector(state)};   h' = o tanh(c') = {vector(output)}"
    theirs = cell(x, (h, c))
    difference = float(torch.stack([output - theirs[0][0], state - theirs[1][0]]).abs().max())
    yield f"nn.LSTMCell gives the same up to {difference:.0e}"
    kept = {"kept, f = 1": keep_for(100, bias=50.0), "kept, f = 0.5": keep_for(100, bias=0.0)}
    yield f"of a state of 1 after 100 steps: {kept['kept, f = 1']:g} without forget gate, as in 1997 (f = 1);"
    yield f"  {kept['kept, f = 0.5']:.0e} with one that starts at f = s(0) = 0.5"
    return {"difference": difference} | kept


@claim("C62", slide=72, topic="applications", says="captioning: embeddings, a ConvNet, an RNN; likely sentences",
       expected={"whole sentences right": Within(0.85, 0.97), "nats": Within(0.1, 0.6),
                 "nats by hand": Within(high=1e-4)},
       verdict="shown", trains=True,
       why="A toy: one digit on the left or right of a picture, 20 sentences; its parts are those of the slide.")
def an_eight_on_the_left() -> Steps:
    network = trained_captioner()
    pictures, sentences = captioned("test")
    written = network.write(pictures)
    with torch.no_grad():
        nats = float(network.nats(pictures, sentences))
        log_p = network(pictures[:1], sentences[:1]).log_softmax(2)[0]  # (T, V)
        one = float(network.nats(pictures[:1], sentences[:1]))
    parts = log_p[torch.arange(LONGEST), sentences[0]]
    by_word = " ".join(f"{WORDS[w]} {p:.2f}" for w, p in zip(sentences[0].tolist(), parts.exp().tolist(), strict=True))
    yield "ConvNet -> state (64) -> LSTM, which reads the embedding of the word before and gives the next"
    yield f"p(sentence | picture) = product of {by_word}: -log = {-float(parts.sum()):.3f} nats"
    right = float((written == sentences).all(1).float().mean())
    yield f"after training for likelihood: {nats:.2f} nats per sentence, log 20 = {math.log(20):.2f} for a guess"
    yield f"{100 * right:.1f} % of {len(pictures)} captions right in every word, such as `{sentence_of(written[0])}`"
    return {"whole sentences right": right, "nats": nats, "nats by hand": abs(one + float(parts.sum()))}


remark("C63", slide=73, topic="applications", says="results of image captioning", verdict="extraction",
       why="The slide is a picture that the text lacks; C62 trains a small captioner.")

remark("C64", slide=75, topic="history", says="Caffe, Theanno, TensorFlow, Torch, Keras", verdict="no claim",
       why="A list of software, with nothing to compute; the second is spelt Theano.")


@claim("C65", slide=78, topic="applications", says="13 competencies", stated=13, expected=13, verdict="ok")
def competencies() -> Steps:
    covered = 0
    for number, (skill, rows) in enumerate(COMPETENCIES.items(), 1):
        held = all(row in CLAIMS and CLAIMS[row].compute for row in rows.split())
        covered += held
        yield f"{number:2} {skill:52} {rows if held else f'not covered by {rows}'}"
    return covered

COMPETENCIES = {  # slide 78 in few words, and the rows that train each
    "what deep learning is, and representation": "C01 C02 C04",
    "word embeddings": "C05 C06 C07 C09 C11",
    "why deep networks are hard to train": "C16 C17 C18 C19",
    "what made them practical": "C20 C27 C33",
    "autoencoders and pre-training": "C21 C22 C23",
    "convolution, weight sharing, pooling": "C25 C29 C31 C33 C34 C37",
    "ConvNets at work on pictures": "C36 C38 C44 C62",
    "recurrent against feed-forward": "C54 C56",
    "unrolling in time": "C55",
    "short and long dependencies": "C58 C59",
    "the LSTM against a plain unit": "C59 C60 C61",
    "back-propagation through time": "C57",
    "recurrent networks for language": "C56 C58 C62",
}


def vector(values: Tensor) -> str:
    """In brackets, with two digits after the point."""
    return "[" + " ".join(f"{value:.2f}" for value in values.tolist()) + "]"


def sentence_of(words: Tensor) -> str:
    """Words (T,) as a person writes them."""
    return " ".join(WORDS[word] for word in words.tolist() if word)

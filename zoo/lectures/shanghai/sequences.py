# fmt: off
"""Shanghai, S26 to S33: sequences, recurrence, words."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import zoo
from zoo.lectures.ledger import Steps, Within, claim
from zoo.lectures.shanghai.runs import count, fit
from zoo.models.recurrent import recurrent_layers, rnn_step


@claim("S26", slide="Sequence Modeling Applications", topic="recurrence",
       says="one to one, many to one, one to many, many to many",
       expected={"1 to 1": (1, 3), "1 to N": (1, 5), "N to 1": (1, 3), "N to M": (1, 4, 20), "N to N": (1, 6, 4)},
       verdict="ok", experiments=("pass_class_mlp", "reviews_lstm", "multi30k_gru_attention"))
def sequence_modes() -> Steps:
    from zoo.lectures import cyprus

    return (yield from cyprus.recurrence.five_modes())


@claim("S27", slide="Recurrent Neural Networks (RNNs)", topic="recurrence",
       says="h_t = f_W(x_t, h_(t-1)); the same function and parameters at every step",
       expected={"parameters": (150, 150), "uses": (3, 100), "difference": Within(high=1e-6)}, verdict="ok",
       why="The equations are lost in the text; its words are kept.")
def neuron_with_recurrence() -> Steps:
    layer = recurrent_layers("rnn", input_size=3, hidden_size=10, implementation="reference")
    lengths = (3, 100)
    tables = [zoo.inspect(layer, (steps, 3)) for steps in lengths]
    parameters, uses = tuple(table.parameters for table in tables), tuple(table.layers[0].times for table in tables)
    yield f"h_t = tanh(Wx x_t + bx + Wh h_(t-1) + bh), 3 inputs, 10 neurons: 10 * (3 + 1 + 10 + 1) = {parameters[0]}"
    yield (f"sequences of {lengths[0]} and {lengths[1]} steps: {parameters[0]} and {parameters[1]} parameters, "
           f"each used {uses[0]} and {uses[1]} times")
    x, h = torch.randn(1, 5, 3), torch.zeros(1, 10)
    w = {name.removesuffix("_l0"): p.detach() for name, p in layer.named_parameters()}
    for x_t in x.unbind(1):
        (h,), _ = rnn_step(x_t, (h,), w, "tanh")
    library = nn.RNN(3, 10, batch_first=True)
    library.load_state_dict(layer.state_dict())
    difference = (library(x)[1][0] - h).abs().max().item()
    yield f"h_5 = ({', '.join(f'{value:.3f}' for value in h[0, :3].tolist())}, ...); nn.RNN differs by {difference:.0e}"
    return {"parameters": parameters, "uses": uses, "difference": difference}


@claim("S28", slide="Sequence Modeling: Design Criteria", topic="recurrence",
       says="RNNs meet all: variable length, long term, order, shared parameters",
       expected={"RNN": "yes no yes yes", "LSTM": "yes yes yes yes", "dense": "no yes yes no",
                 "attention": "yes yes yes yes"},
       verdict="loose",
       why="At its usual start a plain RNN meets three: over 50 steps its gradient is gone, and the lecture itself "
           "says 'not long memory' later. An LSTM whose forget gates start open meets all four.",
       correction="Plain RNNs meet three of the four criteria; long-term dependencies need gates or attention")
def four_criteria() -> Steps:
    makers = {
        "RNN": lambda steps: zoo.create("sequence_rnn", **NUMBERS, cell="rnn", hidden_size=32),
        "LSTM": lambda steps: zoo.create("sequence_rnn", **NUMBERS, cell="lstm", hidden_size=32, forget_bias=5.0),
        "dense": lambda steps: nn.Sequential(nn.Flatten(), nn.Linear(steps * 3, 32), nn.ReLU(), nn.Linear(32, 1)),
        "attention": lambda steps: zoo.create("sequence_transformer", **NUMBERS, context_length=steps, hidden_size=32,
                                              position="sinusoidal"),
    }
    yield "          length   long term: |dy/dx_1| / |dy/dx_50|   order   shared parameters"
    answers = {}
    for name, make in makers.items():
        network, x = make(50), torch.randn(8, 50, 3, requires_grad=True)
        (gradient,) = torch.autograd.grad(network(x).sum(), x)
        ratio = (gradient[:, 0].norm() / gradient[:, -1].norm()).item()
        reordered = torch.cat([x[:, :-1].flip(1), x[:, -1:]], 1)  # the last step stays
        tests = (
            all(runs_on(network, torch.randn(1, steps, 3)) for steps in (5, 50)),
            ratio > 1e-3,
            not torch.allclose(network(x), network(reordered), atol=1e-6),
            count(make(10)) == count(make(50)),
        )
        words = ["yes" if test else "no" for test in tests]
        yield f"{name:9} {words[0]:8} {words[1]:3} {ratio:<33.1e} {words[2]:7} {words[3]}"
        answers[name] = " ".join(words)
    return answers


@claim("S29", slide="Predict the Next Word", topic="recurrence",
       says='"This morning I took my cat for a walk.": given eight words, predict the next',
       expected={"words": 9, "P(walk)": Within(0.95, 1.0), "two words only": Within(0.2, 0.3)}, verdict="shown",
       trains=True, experiments=("pydoc_lstm",),
       why="Trained on this sentence and three like it (car, drive; boat, sail; horse, ride).")
def predict_the_next_word() -> Steps:
    pairs = {"cat": "walk", "car": "drive", "boat": "sail", "horse": "ride"}
    sentences = [f"this morning i took my {thing} for a {end}".split() for thing, end in pairs.items()]
    vocabulary = sorted({word for sentence in sentences for word in sentence})
    numbers = torch.tensor([[vocabulary.index(word) for word in sentence] for sentence in sentences])  # (4, 9)
    yield f"{' '.join(sentences[0])}: {len(sentences[0])} words, 8 given; in four such {len(vocabulary)} different"
    walk, answers = vocabulary.index("walk"), {}
    for name, given in (("P(walk)", numbers[:, :-1]), ("two words only", numbers[:, -3:-1])):
        network = zoo.create("sequence_rnn", num_classes=len(vocabulary), vocab_size=len(vocabulary), in_features=0,
                             cell="lstm", hidden_size=32, embedding_dim=16)
        fit(network, (given, numbers[:, -1]), steps=150, lr=0.02)
        p = network(given)[0].softmax(0)
        answers[name] = p[walk].item()
        read = " ".join(vocabulary[i] for i in given[0].tolist())
        best = ", ".join(f"{vocabulary[i]} {p[i]:.2f}" for i in p.argsort(descending=True)[:4].tolist())
        yield f"an LSTM reads '{read}':  {best}"
    yield "what decides stands three words back: who sees only 'for a' must guess one in four"
    return {"words": len(sentences[0])} | answers


@claim("S30", slide="Encoding Language for a Neural Network", topic="words",
       says="vocabulary, word to index, index to a vector of fixed size",
       expected={"difference": 0.0, "words": 10_000, "vector": 100}, verdict="ok",
       experiments=("english_skipgram", "pydoc_skipgram"))
def embedding_is_a_product() -> Steps:
    network = zoo.load("english-skipgram")
    words, size = network.vectors.shape
    index = network.number("walk")
    yield f"1. vocabulary: {words:,} words;  2. index of 'walk': {index:,}"
    one_hot = torch.zeros(words)
    one_hot[index] = 1.0
    by_product, by_row = one_hot @ network.vectors.detach(), F.embedding(torch.tensor(index), network.vectors.detach())
    first = ", ".join(f"{value:.3f}" for value in by_product[:4].tolist())
    yield f"3. one-hot (1 x {words:,}) times W ({words:,} x {size}) = ({first}, ...)"
    difference = (by_product - by_row).abs().max().item()
    yield f"   row {index:,} of W is the same, without {words:,} * {size} multiplications; difference {difference:g}"
    yield f"   and means something: next to 'walk' lie {', '.join(word for word, _ in network.nearest('walk', 3))}"
    return {"difference": difference, "words": words, "vector": size}


@claim("S31", slide="Handle Variable Sequence Lengths", topic="recurrence",
       says="three sentences of different length",
       expected={"words": (4, 6, 9), "difference": Within(high=1e-6)}, verdict="ok", experiments=("reviews_lstm",))
def padded_sentences() -> Steps:
    sentences = ("the food was great", "we visited a restaurant for lunch",
                 "we were hungry but cleaned the house before eating")
    words = [sentence.split() for sentence in sentences]
    vocabulary = ["", *sorted({word for sentence in words for word in sentence})]  # 0 fills up
    rows = [torch.tensor([vocabulary.index(word) for word in sentence]) for sentence in words]
    lengths = torch.tensor([len(row) for row in rows])
    yield f"words: {', '.join(map(str, lengths.tolist()))}"
    padded = nn.utils.rnn.pad_sequence(rows, batch_first=True)  # (3, 9)
    network = zoo.create("sequence_rnn", num_classes=2, vocab_size=len(vocabulary), in_features=0, hidden_size=16,
                         bidirectional=True)
    with torch.no_grad():
        together = network(padded, lengths)[:, 0]
        alone = torch.stack([network(row[None])[0, 0] for row in rows])
        careless = network(padded)[:, 0]
    yield f"padded to a batch of {tuple(padded.shape)}, lengths given, through an LSTM that reads from both ends:"
    for name, values in (("together", together), ("one by one", alone), ("without lengths", careless)):
        yield f"  {name + ':':17} {'  '.join(f'{value:+.6f}' for value in values.tolist())}"
    return {"words": tuple(lengths.tolist()), "difference": (together - alone).abs().max().item()}


@claim("S32", slide="Model Long-Term Dependencies", topic="recurrence",
       says='"France is where I grew up [...] I speak fluent ...": from the distant past',
       expected={"RNN, gap 1": Within(0.75, 1.0), "RNN, gap 40": Within(0.1, 0.5), "LSTM, gap 40": Within(0.97, 1.0)},
       verdict="shown", trains=True, experiments=("recall_rnn", "recall_lstm"),
       why="The sentence as symbols: the first of them is asked for after a gap of others.")
def france_and_boston() -> Steps:
    from zoo.lectures import cyprus

    return (yield from cyprus.recurrence.recall_over_a_gap())


@claim("S33", slide="Capture Differences in Sequence Order", topic="recurrence",
       says='"good, not bad at all" and "bad, not good at all" differ by the order alone',
       expected={"words": 8, "bags differ by": 0.0, "bag": (0.5, 0.5), "RNN": (1.0, 0.0)}, tolerance=0.05, verdict="ok",
       trains=True)
def order_of_words() -> Steps:
    good, bad = ("the food was good not bad at all".split(), "the food was bad not good at all".split())
    vocabulary = sorted(set(good))
    x = torch.tensor([[vocabulary.index(word) for word in sentence] for sentence in (good, bad)])  # (2, 8)
    y = torch.tensor([1, 0])
    bags = F.one_hot(x, len(vocabulary)).sum(1).float()  # (2, V): how often each word occurs
    differ = (bags[0] - bags[1]).abs().max().item()
    yield f"{len(good)} words each; counts of {', '.join(vocabulary)}: they differ by {differ:g}"
    bag = zoo.create("mlp", in_features=len(vocabulary), num_classes=2, hidden_sizes=[16])
    rnn = zoo.create("sequence_rnn", num_classes=2, vocab_size=len(vocabulary), in_features=0, cell="rnn",
                     hidden_size=16)
    answers = {}
    for name, network, batch in (("bag", bag, (bags, y)), ("RNN", rnn, (x, y))):
        fit(network, batch, steps=100, lr=0.02)
        answers[name] = tuple(torch.sigmoid(network(batch[0])[:, 0]).tolist())
        yield f"trained on the two, {name} of words: P(praise) = {answers[name][0]:.3f} and {answers[name][1]:.3f}"
    return {"words": len(good), "bags differ by": differ} | answers

NUMBERS = {"num_classes": 2, "vocab_size": 0, "in_features": 3}  # a network that reads three numbers a step


def runs_on(network: nn.Module, x: Tensor) -> bool:
    """Whether it takes an input of this size."""
    try:
        network(x)
    except (RuntimeError, ValueError):
        return False
    return True

# fmt: off
"""Prague (P. Pošík): deep learning; every claim of the slides, computed."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import zoo
from zoo.lectures.architectures import INCEPTIONS, Bottleneck, GoogLeNet, Inception, counted, resnet, vgg, zfnet
from zoo.lectures.ledger import CLAIMS, Steps, Within, claim, remark
from zoo.lectures.prague_runs import (
    LONGEST,
    WORDS,
    ConvNet1989,
    accuracy,
    captioned,
    deep_net,
    descend,
    help_topics,
    keep_for,
    latches,
    learning_speeds,
    learnt_vectors,
    linear_on,
    placed_anywhere,
    polyline,
    sawtooth,
    shifted_by_one,
    some_of_each,
    standard_digits,
    steps_until,
    train_phase,
    trained_captioner,
)
from zoo.lectures.small_tasks import digits, fit
from zoo.registry import build


@claim("C01", slide=3, topic="representation", says="quiz: what is deep learning? A, B, C or D",
       expected="D", verdict="ok")
def quiz_of_the_beginning() -> Steps:
    shares = yield from levels_of_abstraction()
    rises = list(shares.values()) == sorted(shares.values())
    yield "the raw data becomes, level by level, what the problem wants: answer D"
    return "D" if rises else "not D"


@claim("C02", slide="4-6", topic="representation", says="each level represents the input better for its task",
       expected={"pixels": 0.8937, "conv1": 0.9086, "conv2": 0.9435, "fc1": 0.9668, "fc2": 0.9834}, tolerance=0.004,
       verdict="shown", experiments=("digits_lenet",),
       why="The slides define; measured is how well classes gather round their means, level by level of a LeNet.")
def levels_of_abstraction() -> Steps:
    network = zoo.load("digits-lenet")
    data = build("data", "digits", {"image_size": 28})
    data.load()
    yield "LeNet on scikit-learn's digits; which class has the nearest mean, of the training pictures, at each level?"
    shares, (x, y), (test_x, test_y) = {}, data.train, data.test
    steps = {
        "pixels": lambda a: a,
        "conv1": lambda a: network.pool1(network.activation(network.conv1(a))),
        "conv2": lambda a: network.pool2(network.activation(network.conv2(a))),
        "fc1": lambda a: network.activation(network.fc1(a.flatten(1))),
        "fc2": lambda a: network.activation(network.fc2(a)),
    }
    with torch.no_grad():
        for name, step in steps.items():
            x, test_x = step(x), step(test_x)
            means = torch.stack([x[y == k].flatten(1).mean(0) for k in range(10)])  # (K, D)
            nearest = torch.cdist(test_x.flatten(1), means).argmin(1)
            shares[name] = float((nearest == test_y).float().mean())
            yield f"  {name:7} {means.shape[1]:4} numbers: {100 * shares[name]:.1f} % right"
    return shares


@claim("C03", slide=7, topic="history", says="1986 back-propagation; 1990s convolutional and recurrent networks",
       expected={"neurons": 1_256, "connections": 64_660, "parameters": 9_760},
       verdict="loose",
       why="LeCun's ConvNet of 1989 (Neural Computation 1:4) is counted here; recurrent nets are older than 1990 too.",
       correction="ConvNets 1989 (LeCun), recurrent nets 1986 (Jordan) and 1990 (Elman), LSTM 1997")
def convnet_of_1989() -> Steps:
    network = ConvNet1989()
    found = zoo.inspect(network, (1, 16, 16))
    sizes = [layer.output for layer in found.layers if layer.macs]
    yield f"LeCun et al. 1989, zip codes: 16x16 -> {' -> '.join(sizes)}; a bias for every neuron"
    hidden = [math.prod(map(int, size.split("x"))) for size in sizes]
    neurons = 16 * 16 + sum(hidden)
    yield f"neurons: 256 + {' + '.join(map(str, hidden))} = {neurons:,}"
    connections = found.macs + sum(hidden)
    yield f"connections: {found.macs:,} products + {sum(hidden):,} biases = {connections:,}; the paper says 64,660"
    yield f"free parameters, thanks to shared weights: {found.parameters:,}; the paper says 9,760"
    return {"neurons": neurons, "connections": connections, "parameters": found.parameters}


@claim("C04", slide="8-11", topic="depth", says="4 inputs to y; with one hidden layer; with two", stated=(1, 2, 3),
       expected=(1, 2, 3), verdict="ok", experiments=("pass_class_mlp",))
def three_depths() -> Steps:
    depths = []
    for hidden in ([], [5], [5, 5]):
        network = zoo.create("mlp", in_features=4, num_classes=2, hidden_sizes=hidden)
        layers = [layer for layer in zoo.inspect(network, (4,)).layers if layer.kind == "linear"]
        sizes = [4, *hidden, 1]
        counts = " + ".join(layer.count_formula.split(" = ")[0] for layer in layers)
        total = sum(layer.parameters for layer in layers)
        yield f"{' - '.join(map(str, sizes)):13} {len(hidden)} hidden: {counts} = {total} parameters"
        depths.append(len(layers))
    yield "deeper: more layers; wider: more neurons in one (5 is ours, the drawing's widths are not in the text)"
    return tuple(depths)


@claim("C05", slide="13, 14", topic="words", says="1-of-N knows no similarity; distributed vectors do",
       expected={"one-hot": 0, "synonyms": 0.46, "any two": 0.12, "numbers, one-hot": 10_000, "numbers, dense": 100},
       tolerance=0.03, verdict="ok", experiments=("english_skipgram",))
def local_and_distributed() -> Steps:
    network = zoo.load("english-skipgram")
    size, dense = network.vectors.shape
    yield f"1-of-N: {size:,} numbers, one of them 1; distributed: {dense} numbers"
    pairs = [pair.split() for pair in SYNONYMS.split(", ")]
    one_hot = F.one_hot(torch.tensor([[network.number(word) for word in pair] for pair in pairs]), size)  # (P, 2, V)
    orthogonal = int((one_hot[:, 0] * one_hot[:, 1]).sum(1).max())
    yield f"cosine of two one-hot words, film and movie as well as film and tuesday: {orthogonal}"
    cosines = {" ".join(pair): network.similarity(*pair) for pair in pairs}
    best = sorted(cosines, key=cosines.get, reverse=True)[:4]
    yield f"skip-gram: {', '.join(f'{pair} {cosines[pair]:.2f}' for pair in best)}, ..."
    mean, unit = sum(cosines.values()) / len(cosines), network.unit_vectors()
    first, second = unit[torch.randint(size, (2, 5000))]
    chance = float((first * second).sum(1).mean())
    yield f"mean of {len(pairs)} pairs of synonyms {mean:.2f}, of any two words {chance:.2f}"
    return {"one-hot": orthogonal, "synonyms": mean, "any two": chance, "numbers, one-hot": size,
            "numbers, dense": dense}


@claim("C06", slide=16, topic="words", says="CBOW: the current word from the words around it",
       expected={"difference": Within(high=1e-5), "order of the context": Within(high=1e-5),
                 "related": Within(0.89, 0.96)},
       verdict="shown", trains=True, experiments=("english_cbow", "text8_cbow"),
       why="Learnt from Python's help topics in seconds; `related` is 0.5 for random vectors and 1 at best.")
def continuous_bag_of_words() -> Steps:
    data, runs = help_topics()
    network = learnt_vectors(data, runs, "cbow")
    before, after = ["exception", "is"], ["by", "the"]
    context = torch.tensor([[network.number(word) for word in before + after]])
    with torch.no_grad():
        logits = network(context)[0]
        by_hand = network.output_vectors @ network.vectors[context[0]].mean(0)
        backwards = network(context.flip(1))[0]
    guesses = ", ".join(network.words[i] for i in logits.topk(4).indices)
    yield f"logits = U mean(v_{', v_'.join(before + after)}); {' '.join(before)} ___ {' '.join(after)}: {guesses}"
    difference, order = float((logits - by_hand).abs().max()), float((logits - backwards).abs().max())
    yield f"by hand the same up to {difference:.0e}; a bag knows no order: backwards the same up to {order:.0e}"
    related = data.probe(network)["related"]
    yield f"30 passes over {runs.numel():,} words: a word's partner (list, tuple; read, write) is nearer than"
    yield f"  {100 * related:.0f} % of all words; by chance 50 %"
    return {"difference": difference, "order of the context": order, "related": related}


@claim("C07", slide=16, topic="words", says="skip-gram: the words around it from the current word",
       expected={"prime": "minister", "united": "states", "los": "angeles", "hong": "kong"}, verdict="ok",
       experiments=("english_skipgram", "text8_skipgram", "pydoc_skipgram"))
def skip_gram() -> Steps:
    network, found = zoo.load("english-skipgram"), {}
    yield "p(context c | word w) rises with u_c . v_w; the likeliest words around, the word itself left out:"
    for word in ("prime", "united", "los", "hong"):
        with torch.no_grad():
            logits = network(torch.tensor([[network.number(word)]]))[0]  # (V,)
        likeliest = [network.words[i] for i in logits.topk(5).indices if network.words[i] != word]
        found[word] = likeliest[0]
        yield f"  {word:6} -> {', '.join(likeliest[:3])}"
    return found


@claim("C08", slide=16, topic="words", says="billions of n-grams, millions of words; one projection shared by all",
       expected={"by the matrix or by the row": 0.0, "10,000 words": 2_000_000, "a million words": 600_000_000},
       verdict="outside",
       why="Mikolov et al. 2013 name 6 billion words of text and a million different ones; ours are fewer.")
def shared_projection() -> Steps:
    network = zoo.load("english-skipgram")
    number = network.number("film")
    one_hot = F.one_hot(torch.tensor(number), len(network.words)).float()
    product, row = one_hot @ network.vectors.detach(), network.vector("film")
    difference = float((product - row).abs().max())
    yield f"x V, x one-hot with its 1 at place {number}, is row {number} of V: difference {difference}"
    words, size = network.vectors.shape
    total = sum(p.numel() for p in network.parameters())
    yield f"two tables for all words: 2 * {words:,} * {size} = {total:,} parameters"
    large = torch.empty(2, 1_000_000, 300, device="meta").numel()
    yield f"with a million words and 300 numbers each: {large:,}, {4 * large / 1e9:.1f} GB; a pair moves few rows"
    return {"by the matrix or by the row": difference, "10,000 words": total, "a million words": large}


@claim("C09", slide=17, topic="words", says="countries here, capitals there; the differences are almost the same",
       expected={"on their side": 20, "of": 22, "offsets": 0.2957, "of wrong pairs": 0.2397,
                 "better by chance": Within(high=0.02)},
       tolerance=0.002, verdict="shown", experiments=("english_skipgram",),
       why="From 4.75 million words the offsets are alike only in part; the slide's picture was learnt from billions.")
def countries_and_capitals() -> Steps:
    from zoo.word_figures import mean_cosine, offset_cosine, places

    network = zoo.load("english-skipgram")
    known = places(network)
    countries, capitals = known.vectors  # (P, D) each
    both, kinds = torch.cat([countries, capitals]), [0] * len(countries) + [1] * len(capitals)
    right = 0
    for i, kind in enumerate(kinds):  # nearer to the mean of its own kind, without itself, or of the other?
        means = [torch.stack([both[j] for j in range(len(both)) if kinds[j] == k and j != i]).mean(0) for k in (0, 1)]
        own, other = (float(F.cosine_similarity(both[i], means[k], dim=0)) for k in (kind, 1 - kind))
        right += own > other
    yield f"{right} of {len(both)} names lie nearer to the mean of their own kind: two areas"
    true, wrong = offset_cosine(network)
    yield f"offsets capital - country: mean cosine between two {true:.3f}; of wrong pairs {wrong:.3f}; identical: 1"
    shuffled = [mean_cosine(capitals[torch.randperm(len(capitals))] - countries) for _ in range(1000)]
    chance = sum(cosine >= true for cosine in shuffled) / 1000
    yield f"of 1,000 random pairings {1000 * chance:.0f} have offsets more alike than the true one"
    return {"on their side": right, "of": len(both), "offsets": true, "of wrong pairs": wrong,
            "better by chance": chance}


@claim("C10", slide=17, topic="words", says="places run from Asia through the Middle East to western Europe",
       expected={"rank correlation": 0.573, "better by chance": Within(high=0.12)}, tolerance=0.01, verdict="shown",
       experiments=("english_skipgram",),
       why="A tendency: only eleven of the countries are among our 10,000 words.")
def longitude_in_word_vectors() -> Steps:
    from scipy.stats import spearmanr

    from zoo.word_figures import eastward, places

    known = places(zoo.load("english-skipgram"))
    component, correlation = eastward(known)
    order = component.argsort().tolist()
    yield "countries along their first principal component, with degrees east:"
    yield "  " + ", ".join(f"{known.names[i][0]} {round(known.longitudes[i])}" for i in order[:6])
    yield "  " + ", ".join(f"{known.names[i][0]} {round(known.longitudes[i])}" for i in order[6:])
    longitude = torch.tensor(known.longitudes)
    shuffled = [abs(spearmanr(component, longitude[torch.randperm(len(order))]).statistic) for _ in range(300)]
    chance = sum(value >= correlation for value in shuffled) / 300
    yield f"rank correlation with the longitude {correlation:.2f}; as much has {100 * chance:.0f} % of shufflings"
    return {"rank correlation": correlation, "better by chance": chance}


@claim("C11", slide="18, 19", topic="words", says="a table of results", verdict="extraction",
       expected={"family": 0.735, "comparative": 0.571, "past": 0.5, "plural": 0.268, "capitals": 0.073},
       tolerance=0.02, experiments=("text8_skipgram", "english_skipgram"),
       why="The tables are pictures that the text lacks; the same questions, of words that our small net knows.")
def analogies_by_section() -> Steps:
    from zoo.data.word_tests import KnownWords, judge_analogies
    from zoo.word_figures import places

    network, shares = zoo.load("english-skipgram"), {}
    words = KnownWords(network)
    sections = {name: [pair.split() for pair in pairs.split(", ")] for name, pairs in ANALOGIES.items()}
    sections["capitals"] = places(network).names
    yield f"a : b as c : ?, the word nearest to b - a + c of {len(network.words):,}; guessing: 0.01 %"
    for name, pairs in sections.items():
        right, asked = judge_analogies(words, [[*one, *other] for one in pairs for other in pairs if one != other])
        (a, b), (c, _) = pairs[:2]
        shares[name] = right / asked
        answer = network.analogy(b, a, c, 1)[0][0]
        yield f"  {name:12} {right:3} of {asked} = {100 * shares[name]:4.1f} %   {a} : {b} as {c} : {answer}"
    return shares


@claim("C12", slide=20, topic="words", says="SVD of the (log) co-occurrence counts gives similar results",
       expected={"word2vec": Within(0.89, 0.96), "log counts": Within(0.93, 0.98), "agreement": Within(0.5, 0.68)},
       verdict="shown", trains=True, experiments=("english_svd",),
       why="On Python's help topics both find related words; the longer run english_svd compares them on English.")
def counting_beside_learning() -> Steps:
    from scipy.stats import spearmanr

    data, runs = help_topics()
    learnt = learnt_vectors(data, runs, "skipgram")
    counted = zoo.create("word_svd", words=data.words, counts=data.counts, weighting="log")
    counted.update((runs,), 0.0)
    yield f"{runs.numel():,} words of Python's help; {len(data.words):,} different; 100 numbers for each"
    yield "log(1 + counts) = U S V', vectors U sqrt(S); beside it skip-gram with negative sampling"
    shares = {name: data.probe(network)["related"] for name, network in (("word2vec", learnt), ("log counts", counted))}
    for name, network in (("word2vec", learnt), ("log counts", counted)):
        near = ", ".join(word for word, _ in network.nearest("raise", 3))
        yield f"  {name:10} a word's partner nearer than {100 * shares[name]:.1f} % of all; raise: {near}"
    first, second = (network.unit_vectors()[:500] for network in (learnt, counted))
    pairs = torch.triu_indices(500, 500, 1)
    cosines = [(unit @ unit.T)[pairs[0], pairs[1]] for unit in (first, second)]
    agreement = float(spearmanr(*cosines).statistic)
    yield f"rank correlation of their cosines over all pairs of the 500 commonest words: {agreement:.2f}"
    return shares | {"agreement": agreement}


@claim("C13", slide=21, topic="depth", says="one hidden layer with enough units approximates any continuous function",
       expected={"2": 1.0, "16": 0.018846, "256": 7.53e-5, "bump, 8": Within(0.1, 0.9), "bump, 256": Within(high=1e-4)},
       tolerance=5e-7, verdict="ok")
def wide_enough() -> Steps:
    x = torch.linspace(0, 1, 4097, dtype=torch.float64)[:, None]  # (N, 1)
    target = torch.sin(2 * math.pi * x)
    yield "sin(2 pi x) on [0, 1] by n ReLU neurons, each bending the line at a knot k/n so that it meets the sine there"
    errors = {}
    for n in (2, 16, 256):
        errors[str(n)] = float((polyline(n)(x) - target).abs().max())
        yield f"  n = {n:3}: largest error {errors[str(n)]:.2e}   (bound h^2/8 max|f''| = {math.pi**2 / 2 / n**2:.2e})"
    side = torch.linspace(-2, 2, 33, dtype=torch.float64)
    plane = torch.cartesian_prod(side, side)  # (N, 2)
    bump = torch.exp(-plane.square().sum(1, keepdim=True))
    for n in (8, 256):
        hidden = torch.tanh(plane @ torch.randn(2, n, dtype=torch.float64) + torch.randn(n, dtype=torch.float64))
        hidden = F.pad(hidden, (0, 1), value=1.0)  # and a bias
        fitted = hidden @ torch.linalg.lstsq(hidden, bump, driver="gelsd").solution
        errors[f"bump, {n}"] = float((fitted - bump).abs().max())
    yield f"exp(-x^2 - y^2) by tanh neurons: error {errors['bump, 8']:.2f} with 8, {errors['bump, 256']:.0e} with 256"
    return errors


@claim("C14", slide=22, topic="depth", says="some functions need exponentially more units in a shallow net",
       expected={"neurons, deep": 20, "pieces": 1_024, "neurons, one layer": 1_023}, verdict="ok")
def folded_sawtooth() -> Steps:
    network = sawtooth(10)
    yield "tent(x) = 2 relu(x) - 4 relu(x - 1/2) folds [0, 1] once; 10 layers of two such neurons:"
    x = torch.arange(2**12 + 1, dtype=torch.float64)[:, None] / 2**12  # exact in binary
    slopes = network(x)[:, 0].diff() * 2**12
    pieces = 1 + int((slopes.diff() != 0).sum())
    deep = sum(layer.out_features for layer in network if isinstance(layer, nn.Linear)) - 1  # without the output
    yield f"  {deep} neurons draw {pieces:,} straight pieces of slope +-{abs(float(slopes[0])):,.0f}"
    yield "each ReLU of a single hidden layer bends the line at one place: n neurons, at most n + 1 pieces"
    yield f"so one layer needs at least {pieces:,} - 1 = {pieces - 1:,} neurons, twice as many for each further fold"
    return {"neurons, deep": deep, "pieces": pieces, "neurons, one layer": pieces - 1}


@claim("C15", slide=23, topic="depth", says="solve sub-problems first, then integrate the solutions",
       expected=(7, 256, 256), verdict="shown", experiments=("xor_mlp",),
       why="One example, ours: parity of eight bits by seven copies of the zoo's XOR network.")
def parity_from_xor() -> Steps:
    network = zoo.load("xor")
    bits = torch.cartesian_prod(*[torch.arange(2.0)] * 8)  # (256, 8)
    yield "sub-problem: is one of two bits set? learnt from four examples (zoo.load('xor')); then a tree of it:"
    level, used = bits, 0
    with torch.no_grad():
        while level.shape[1] > 1:
            pairs = level.view(-1, 2)
            answers = (network(pairs)[:, 0] > 0).float().view(len(bits), -1)
            used += answers.shape[1]
            yield f"  {level.shape[1]} bits -> {answers.shape[1]}; copies of it so far: {used}"
            level = answers
    right = int((level[:, 0] == bits.sum(1) % 2).sum())
    yield f"parity of 8 bits: {right} of {len(bits)} patterns right, and not one of them was ever trained on"
    return used, right, len(bits)


@claim("C16", slide="24, 25", topic="training", says="what is hard: activation, start, momentum, architecture",
       expected={"as it should be": Within(0.88, 0.96), "sigmoid": Within(0.05, 0.15),
                 "small start": Within(0.05, 0.15), "large start": Within(0.05, 0.15), "no momentum": Within(0.4, 0.85),
                 "40 layers": Within(0.1, 0.5)},
       verdict="shown", trains=True, experiments=("break_sigmoid_depth", "break_learning_rate"),
       why="Eight layers of 32 on digits, 200 steps; one thing changed at a time.")
def hard_to_train() -> Steps:
    train, test = standard_digits("train"), standard_digits("test")
    networks = {
        "as it should be": (deep_net(8, 32), 0.9), "sigmoid": (deep_net(8, 32, nn.Sigmoid), 0.9),
        "small start": (deep_net(8, 32, std=0.01), 0.9), "large start": (deep_net(8, 32, std=1.0), 0.9),
        "no momentum": (deep_net(8, 32), 0.0), "40 layers": (deep_net(40, 32), 0.9)}
    yield "64 - 32 x 8 - 10, ReLU, start N(0, 2 / inputs), rate 0.01, momentum 0.9, 200 steps; guessing: 10 %"
    shares = {}
    for name, (network, momentum) in networks.items():
        shares[name] = accuracy(descend(network, *train, 200, 0.01, momentum), *test)
    changed = {"sigmoid": "ReLU -> sigmoid", "small start": "start N(0, 0.01^2)", "large start": "start N(0, 1)",
               "no momentum": "momentum 0", "40 layers": "40 hidden layers"}
    for name, share in shares.items():
        yield f"  {changed.get(name, name):20} {100 * share:5.1f} %"
    return shares


@claim("C17", slide=26, topic="depth", says="the derivative of the standard sigmoid lies in (0, 0.25]",
       stated={"largest": 0.25}, expected={"largest": 0.25, "3 layers": 0.015625, "10 layers": 9.5367e-7},
       tolerance=1e-10, verdict="ok", experiments=("break_sigmoid_depth",))
def slope_of_the_sigmoid() -> Steps:
    z = (torch.arange(-1000, 1001, dtype=torch.float64) / 100).requires_grad_()
    (slope,) = torch.autograd.grad(torch.sigmoid(z).sum(), z)
    steepest, at, end = float(slope.max()), abs(z[slope.argmax()].item()), float(slope[-1])
    yield f"s'(z) = s(z) (1 - s(z)): largest at z = {at:g}, 0.5 * 0.5 = {steepest}; at z = 10 only {end:.1e}"
    yield "each sigmoid layer on the way back multiplies the error by at most that, were all weights 1:"
    powers = {n: steepest**n for n in (3, 5, 10)}
    yield "  " + ",  ".join(f"0.25^{n} = {power:.3g}" for n, power in powers.items())
    return {"largest": steepest, "3 layers": powers[3], "10 layers": powers[10]}


@claim("C18", slide=26, topic="depth", says="errors diminish towards the input; first layers learn nothing",
       expected={"2 layers": Within(0.15, 0.4), "3 layers": Within(0.02, 0.08), "5 layers": Within(0.0008, 0.006),
                 "first layer moved": Within(high=0.01), "last layer moved": Within(0.1, 0.5)},
       verdict="shown", trains=True, experiments=("break_sigmoid_depth", "mnist_sda_control"),
       why="Nielsen's measure, |dL/db| of each layer, and his start; digits, 300 steps of gradient descent.")
def first_layers_learn_nothing() -> Steps:
    found = {}
    yield "sigmoid layers of 30; mean |dL/db| over the training, first hidden layer ... last hidden layer:"
    for hidden in (1, 2, 3, 5):
        norms, moved, share = learning_speeds(hidden)
        speeds = norms.mean(0)[:-1]  # without the output layer
        yield f"  {hidden} hidden: {'  '.join(f'{speed:.1e}' for speed in speeds)}   ({100 * share:.0f} % right)"
        found[f"{hidden} layers"] = float(speeds[0] / speeds[-1])
    kept = 100 * found["5 layers"]
    yield f"five layers: the first learns at {kept:.2f} % of the last one's speed; 0.25^4 = 0.39 %"
    ends = 100 * moved[[0, -1]]
    yield f"how far the weights have moved: first layer {ends[0]:.1f} % of their length, output layer {ends[1]:.0f} %"
    del found["1 layers"]  # which is 1
    return found | {"first layer moved": float(moved[0]), "last layer moved": float(moved[-1])}


@claim("C19", slide=26, topic="depth", says="the exploding gradient is exactly the opposite problem",
       expected={"0.9": 0.005153775, "1.0": 1.0, "1.1": 117.390853}, tolerance=1e-5, verdict="ok",
       experiments=("break_no_clipping",))
def exploding_gradient() -> Steps:
    from zoo.lectures import barcelona

    return (yield from barcelona.powers_of_a_matrix())


@claim("C20", slide=27, topic="training", says="what made it work: data, GPUs, sharing, augmentation, dropout, ReLU",
       expected={"steps, ReLU": Within(20, 90), "steps, sigmoid": Within(150, 400), "100 digits": Within(0.84, 0.92),
                 "1,071 digits": Within(0.95, 0.985), "moved by a pixel": Within(0.3, 0.5),
                 "augmented": Within(0.89, 0.97), "shared": 76},
       verdict="shown", trains=True,
       experiments=("mnist_fast", "mnist_lenet", "cifar10_alexnet_gpu", "mnist_few_labels"),
       why="Four of the seven factors in seconds; dropout, pre-training and the GPU have experiments of their own.")
def what_made_it_work() -> Steps:
    found = {name: steps_until(deep_net(2, 100, g), 0.95) for name, g in (("ReLU", nn.ReLU), ("sigmoid", nn.Sigmoid))}
    yield f"64 - 100 - 100 - 10: 95 % right after {found['ReLU']} steps with ReLU, {found['sigmoid']} with sigmoid"
    (x, y), (test_x, test_y) = standard_digits("train"), standard_digits("test")
    rows = some_of_each(y, 10)
    few = accuracy(descend(deep_net(2, 100), x[rows], y[rows], 200, 0.05), test_x, test_y)
    network = descend(deep_net(2, 100), x, y, 200, 0.05)
    every = accuracy(network, test_x, test_y)
    yield f"data: {100 * few:.1f} % right after 100 digits, {100 * every:.1f} % after {len(x):,}"
    moved = shifted_by_one(test_x)
    plain = accuracy(network, moved, test_y)
    augmented = accuracy(descend(deep_net(2, 100), x, y, 400, 0.05, see=shifted_by_one), moved, test_y)
    yield f"augmentation: on digits moved by a pixel {100 * plain:.1f} %; trained on moved ones {100 * augmented:.1f} %"
    shared = sum(p.numel() for p in nn.Conv2d(3, 1, 5).parameters())
    yield f"weight sharing: {shared} parameters for a map of 24x24 neurons, not {576 * shared:,} (C30, C33)"
    return {"steps, ReLU": found["ReLU"], "steps, sigmoid": found["sigmoid"], "100 digits": few, "1,071 digits": every,
            "moved by a pixel": plain, "augmented": augmented, "shared": shared}


@claim("C21", slide=28, topic="autoencoders", says="autoencoder: reconstruct through fewer neurons; reduces dimensions",
       expected={"linear autoencoder": 1.52728, "PCA": 1.52728}, tolerance=2e-4, verdict="ok", trains=True,
       experiments=("mnist_autoencoder", "mnist_autoencoder_linear", "mnist_deep_autoencoder"))
def linear_autoencoder_is_pca() -> Steps:
    x, _ = digits("train")
    x = x.flatten(1).double()
    network = zoo.create("autoencoder", in_features=64, hidden_sizes=[8], activation="linear", code_activation="linear",
                         output_activation="linear", pretraining_epochs=0).double()
    yield "64 pixels - 8 hidden neurons - 64 pixels; loss: squared error per picture, summed over the pixels"
    with torch.no_grad():
        start = float(network.loss((x,))["loss"])
    optimizer = torch.optim.LBFGS(network.parameters(), max_iter=500, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = network.loss((x,))["loss"]
        loss.backward()
        return loss

    optimizer.step(closure)
    with torch.no_grad():
        end = float(network.loss((x,))["loss"])
    values = torch.linalg.svdvals(x - x.mean(0))
    best = float(values[8:].square().sum() / len(x))
    total = float(values.square().sum() / len(x))
    yield f"without hidden neurons, only the mean: {total:.4f}; autoencoder at the start: {start:.4f}"
    yield f"linear autoencoder, trained: {end:.5f}; PCA, 8 components: {best:.5f} = sum of the other 56 variances"
    return {"linear autoencoder": end, "PCA": best}


@claim("C22", slide="29-32", topic="autoencoders", says="always train a single layer: vanishing gradients are no issue",
       expected={"trained": (2_144, 560, 152), "frozen stay": True, "error after 1": Within(0.6, 0.95),
                 "after 2": Within(0.3, 0.8)},
       verdict="loose", trains=True, experiments=("digits_sda", "mnist_deep_autoencoder"),
       why="As drawn, an inner layer's error comes back through the frozen outer decoders, and shrinks a little.",
       correction="hardly an issue; none if each layer reconstructs the code that it is given (Bengio et al. 2006)")
def one_layer_at_a_time() -> Steps:
    x, y = digits("train")
    network = zoo.create("autoencoder", in_features=64, hidden_sizes=[32, 16, 8], target="input")
    trained, frozen_stay = [], True
    for k in range(3):
        before = {name: p.detach().clone() for name, p in network.named_parameters()}
        train_phase(network, k, x, y, steps=100, lr=1e-2)
        learns = {name for name, p in network.named_parameters() if p.requires_grad}
        trained.append(sum(before[name].numel() for name in learns))
        stays = {name for name, p in network.named_parameters() if torch.equal(p, before[name])}
        frozen_stay &= stays == before.keys() - learns
        total = sum(p.numel() for p in before.values())
        yield f"layer {k + 1}: trains {trained[-1]:,} of {total:,} parameters; the others stay: {frozen_stay}"
    network.requires_grad_(True)
    h, errors = network.encode(x), []
    for k in (2, 1, 0):  # z_k, of which r_k is made; the error of r_0 comes back from z_0 to z_2
        z = network.decoders[k](h, network.encoders[k])
        z.retain_grad()
        errors.insert(0, z)
        h = network.activations[k](z)
    (h - x.flatten(1)).square().sum().backward()
    sizes = [float(z.grad.norm()) for z in errors]  # |dL/dz_k|
    left = [size / sizes[0] for size in sizes]
    shares = ", ".join(f"{100 * share:.1f} %" for share in left)
    yield f"layer 3's error on its way back through two frozen decoders: {shares}"
    yield "with target=code, layer 3 reconstructs h_2: nothing frozen lies between it and its error"
    return {"trained": tuple(trained), "frozen stay": frozen_stay, "error after 1": left[1], "after 2": left[2]}


@claim("C23", slide=33, topic="autoencoders", says="attach a classifier to the encoder, train it and fine-tune",
       expected={"pre-trained": Within(0.83, 0.93), "usual start": Within(0.05, 0.2), "good start": Within(0.83, 0.93)},
       verdict="shown", trains=True, experiments=("mnist_sda", "mnist_sda_control", "digits_sda", "mnist_few_labels"),
       why="Three sigmoid layers, 100 labels: it trains what PyTorch's start cannot; so does Glorot's start.")
def classifier_on_an_encoder() -> Steps:
    (x, y), test = digits("train"), digits("test")
    options = {"in_features": 64, "num_classes": 10, "hidden_sizes": [64, 64, 64]}
    pretrained = zoo.create("autoencoder_classifier", **options)
    yield f"64 - 64 - 64 - 64 - 10 with sigmoids; each layer an autoencoder on {len(x):,} digits without labels"
    for k in range(3):
        train_phase(pretrained, k, x, y, steps=200, lr=1e-2)
    pretrained.phase = 3
    networks = {
        "pre-trained": pretrained.requires_grad_(True),
        "usual start": zoo.create("mlp", activation="sigmoid", **options),
        "good start": zoo.create("autoencoder_classifier", pretraining_epochs=0, **options)}
    rows, shares = some_of_each(y, 10), {}
    for name, network in networks.items():
        descend(network.train(), x[rows], y[rows], 300, 0.1)
        shares[name] = accuracy(network.eval(), *test)
    yield "then all of it by gradient descent on 10 labelled digits of each class, 300 steps:"
    yield f"  pre-trained {100 * shares['pre-trained']:.1f} %; from PyTorch's start {100 * shares['usual start']:.1f} %"
    yield f"  from Glorot's start, its weights four times as large for sigmoids: {100 * shares['good start']:.1f} %"
    return shares


@claim("C24", slide=34, topic="representation", says="transfer learning: part of a model serves a related task",
       expected={"re-used": Within(0.79, 0.91), "random": Within(0.68, 0.84), "from scratch": Within(0.66, 0.81),
                 "gain": Within(0.04, 0.2)},
       verdict="shown", trains=True, experiments=("mnist_transfer", "digits_transfer"),
       why="Convolutions learnt on MNIST read digits of other hands and a coarser scanner, from three of each.")
def transfer_from_mnist() -> Steps:
    (x, y), (test_x, test_y) = digits("train"), digits("test")
    x, test_x = ((F.pad(F.interpolate(part, 20, mode="bilinear"), [4] * 4) - 0.1307) / 0.3081 for part in (x, test_x))
    draws = [some_of_each(y, 3) for _ in range(5)]
    shares = {}
    for name, source in (("re-used", zoo.load("mnist-lenet")), ("random", zoo.create("lenet", num_classes=10))):
        steps = (source.conv1, nn.ReLU(), source.pool1, source.conv2, nn.ReLU(), source.pool2, nn.Flatten())
        features = nn.Sequential(*steps).requires_grad_(False)
        tests = features(test_x)  # (602, 400)
        shares[name] = sum(linear_on(features(x[draw]), y[draw], tests, test_y) for draw in draws) / 5
    scratch = []
    for draw in draws:
        lenet = zoo.create("lenet", num_classes=10)
        fit(lenet, lambda draw=draw, net=lenet: net.loss((x[draw], y[draw]))["loss"], 100, 3e-3)
        scratch.append(accuracy(lenet, test_x, test_y))
    shares["from scratch"] = sum(scratch) / 5
    yield f"three examples of each digit, the mean of five draws; {len(test_y)} digits of scikit-learn to read:"
    yield f"  LeNet's two convolutions from MNIST, frozen, and a new linear layer: {100 * shares['re-used']:.1f} %"
    yield f"  the same with convolutions at their random start: {100 * shares['random']:.1f} %"
    yield f"  all of LeNet from scratch: {100 * shares['from scratch']:.1f} %"
    return shares | {"gain": shares["re-used"] - shares["from scratch"]}


@claim("C25", slide=36, topic="parameters", says="28x28 pixels, fully connected to as many neurons: how many weights?",
       expected={"B": 614_656, "C": 615_440}, verdict="ambiguous",
       why="The question asks for connections and calls them weights to be trained; the biases are trained too.",
       correction="B, 614,656 connections; C, 615,440 parameters with the biases", experiments=("mnist_mlp",))
def fully_connected_weights() -> Steps:
    layer = nn.Linear(28 * 28, 28 * 28)
    connections, trained = layer.weight.numel(), sum(p.numel() for p in layer.parameters())
    yield f"A  28^2 = {28**2}: the pixels, not the weights"
    yield f"B  28^2 * 28^2 = {connections:,}: a weight for every pair, which is a connection"
    yield f"C  28^2 * (28^2 + 1) = {trained:,}: and a bias for each neuron; what nn.Linear(784, 784) trains"
    yield f"D  (28^2 + 1) * (28^2 + 1) = {(28**2 + 1) ** 2:,}: as if the bias had inputs of its own"
    return {"B": connections, "C": trained}


@claim("C26", slide=37, topic="parameters", says="the number of weights is about 600 thousand", stated=600_000,
       expected=615_440, rounding=0.03, verdict="ok")
def about_600_thousand() -> Steps:
    return (yield from fully_connected_weights())["C"]


@claim("C27", slide=37, topic="convolution", says="fully connected nets treat near and far pixels alike",
       expected={"MLP": Within(0.82, 0.92), "MLP, shuffled": Within(0.82, 0.92), "ConvNet": Within(0.92, 0.99),
                 "ConvNet, shuffled": Within(0.62, 0.82)},
       verdict="shown", trains=True, experiments=("break_permuted_pixels", "mnist_mlp"),
       why="All pictures shuffled in one way: the MLP cannot notice it, the ConvNet loses its neighbours.")
def permuted_pixels() -> Steps:
    (x, y), (test_x, test_y) = digits("train"), digits("test")
    order = torch.randperm(12 * 12)
    test_x, _ = placed_anywhere(test_x, 4, 4)
    mlp = lambda: nn.Sequential(nn.Flatten(), nn.Linear(144, 100), nn.ReLU(), nn.Linear(100, 10))  # noqa: E731
    conv = lambda: nn.Sequential(  # noqa: E731
        nn.Conv2d(1, 12, 5), nn.ReLU(), nn.Conv2d(12, 32, 5), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten(),
        nn.Linear(32, 10))
    yield "8x8 digits anywhere in 12x12; then all pictures with their 144 pixels in one random order"
    shares = {}
    for name, make in (("MLP", mlp), ("ConvNet", conv)):
        for suffix, see in (("", lambda a: a), (", shuffled", lambda a: a.flatten(1)[:, order].view_as(a))):
            network = make()

            def loss(network=network, see=see) -> Tensor:
                rows = torch.randint(len(x), (64,))
                return F.cross_entropy(network(see(placed_anywhere(x[rows], 4, 4)[0])), y[rows])

            fit(network, loss, steps=400, lr=1e-2)
            shares[name + suffix] = accuracy(network, see(test_x), test_y)
        yield f"  {name:8} {100 * shares[name]:.1f} %, shuffled {100 * shares[name + ', shuffled']:.1f} %"
    yield "an MLP that is shuffled too is the same function: W x = (W P') (P x) for any permutation P"
    return shares


@claim("C28", slide=39, topic="convolution", says="a 5x5 window slides over the image; each place is a hidden neuron",
       expected={"stride 1": (24, 24), "stride 2": (12, 12)}, verdict="ok")
def a_neuron_for_each_place() -> Steps:
    picture, found = torch.zeros(1, 1, 28, 28), {}
    for stride in (1, 2):
        size = zoo.conv_size(28, kernel=5, stride=stride)
        found[f"stride {stride}"] = tuple(nn.Conv2d(1, 1, 5, stride)(picture).shape[2:])
        rows, columns = found[f"stride {stride}"]
        yield f"stride {stride}: {size.formula()}; PyTorch: {rows}x{columns} = {rows * columns} neurons"
    return found


@claim("C29", slide=40, topic="parameters", says="local fields with own weights: 24^2 (5^2 + 1), about 15 thousand",
       stated=15_000, expected=14_976, rounding=0.01, verdict="ok", experiments=("digits_locally_connected",))
def locally_connected_weights() -> Steps:
    layer = zoo.create("locally_connected", num_classes=10, in_channels=1, image_size=28, kernel_size=5).local
    weights, biases = layer.weight.numel(), layer.bias.numel()
    yield f"24 * 24 = {biases} neurons, each with 5 * 5 = 25 weights and a bias of its own"
    yield f"24^2 * (5^2 + 1) = {weights:,} + {biases} = {weights + biases:,}"
    full = 576 * (784 + 1)
    yield f"fully connected they would have 576 * (784 + 1) = {full:,}: {full / (weights + biases):.0f} times as many"
    return weights + biases


@claim("C30", slide=42, topic="parameters", says="three colour channels: 24^2 (3 * 5^2 + 1), about 45 thousand",
       stated=45_000, expected=43_776, rounding=0.03, verdict="loose",
       why="The formula gives 43,776; 45 thousand are three times the rounded 15 thousand, biases included.",
       correction="about 44 thousand")
def locally_connected_colours() -> Steps:
    layer = zoo.create("locally_connected", num_classes=10, in_channels=3, image_size=28, kernel_size=5).local
    total = layer.weight.numel() + layer.bias.numel()
    yield f"24^2 * (3 * 5^2 + 1) = 576 * 76 = {total:,}"
    yield f"three times the grey net would be 3 * 14,976 = {3 * 14_976:,}, but a neuron has one bias, not three"
    return total


@claim("C31", slide=43, topic="convolution", says="z_rc = g(b + sum_jk w_jk x_(r+j),(c+k)), close to convolution",
       expected={"conv2d": Within(high=1e-12), "convolution": Within(low=0.1),
                 "convolution, w turned": Within(high=1e-12)}, verdict="ok")
def sum_over_a_window() -> Steps:
    x, w = torch.randn(28, 28, dtype=torch.float64), torch.randn(5, 5, dtype=torch.float64)
    b, places, pixels, weights = 0.1, range(24), x.tolist(), w.tolist()
    window = [(j, k) for j in range(5) for k in range(5)]
    z = [[b + sum(weights[j][k] * pixels[r + j][c + k] for j, k in window) for c in places] for r in places]
    z = torch.tensor(z, dtype=torch.float64)
    yield f"z(0, 0) = g({b} + {w[0, 0]:.3f} * {x[0, 0]:.3f} + {w[0, 1]:.3f} * {x[0, 1]:.3f} + ... 25 products)"
    yield f"        = g({z[0, 0]:.4f}) = {torch.sigmoid(z[0, 0]):.4f} with g = sigmoid"
    theirs = F.conv2d(x[None, None], w[None, None], torch.tensor([b], dtype=torch.float64))[0, 0]
    found = {"conv2d": float((z - theirs).abs().max())}
    yield f"F.conv2d: largest difference {found['conv2d']:.0e} over 24 * 24 places; both slide w as it is"
    for name, kernel in (("convolution", w), ("convolution, w turned", w.flip(0, 1))):
        product = torch.fft.fft2(x, (32, 32)) * torch.fft.fft2(kernel, (32, 32))  # the convolution theorem
        convolved = torch.fft.ifft2(product).real[4:28, 4:28] + b  # where the windows lie in the picture
        found[name] = float((z - convolved).abs().max())
    yield f"convolution, sum_jk w_jk x_(r-j),(c-k), by Fourier: {found['convolution']:.1f} away;"
    yield f"  with w turned by 180 degrees: {found['convolution, w turned']:.0e}. A net learns w either way round"
    return found


@claim("C32", slide=44, topic="convolution", says="several input channels: the sum runs over them too, i = 0, 1, 2",
       expected=Within(high=1e-12), verdict="ok")
def sum_over_channels() -> Steps:
    x, w = torch.randn(3, 12, 12, dtype=torch.float64), torch.randn(3, 5, 5, dtype=torch.float64)
    pixels, weights, places = x.tolist(), w.tolist(), range(8)
    window = [(i, j, k) for i in range(3) for j in range(5) for k in range(5)]
    z = [[sum(weights[i][j][k] * pixels[i][r + j][c + k] for i, j, k in window) for c in places] for r in places]
    z = torch.tensor(z, dtype=torch.float64)
    one_by_one = sum(F.conv2d(x[i][None, None], w[i][None, None])[0, 0] for i in range(3))
    together = F.conv2d(x[None], w[None])[0, 0]
    yield f"z(0, 0), a sum of 3 * 5 * 5 = {len(window)} products: {z[0, 0]:+.6f}"
    yield f"the same as three pictures, each with its own 5x5, added up: {one_by_one[0, 0]:+.6f}"
    yield f"F.conv2d on three channels: {together[0, 0]:+.6f}"
    difference = float(torch.stack([z - together, one_by_one - together]).abs().max())
    yield f"largest difference over 8 * 8 places: {difference:.0e}; one map comes out, whatever the number of channels"
    return difference


@claim("C33", slide=45, topic="parameters", says="shared weights: 3 * 5^2 + 1 = 76 parameters", stated=76, expected=76,
       verdict="ok")
def shared_weights() -> Steps:
    layer = nn.Conv2d(3, 1, kernel_size=5)
    total = sum(p.numel() for p in layer.parameters())
    yield f"3 * 5^2 + 1 = {layer.weight.numel()} + {layer.bias.numel()} = {total}, for a picture of whatever size"
    local = zoo.create("locally_connected", num_classes=10, in_channels=3).local
    apart = local.weight.numel() + local.bias.numel()
    yield f"with weights of their own, 24 * 24 neurons had {apart:,} = {apart // total} * {total}"
    return total


@claim("C34", slide=45, topic="convolution", says="all neurons detect the same feature, at different places",
       expected=0.0, tolerance=1e-12, verdict="ok")
def shifted_input_shifted_map() -> Steps:
    conv = nn.Conv2d(1, 1, kernel_size=5).double().requires_grad_(False)
    x = torch.randn(1, 1, 28, 28, dtype=torch.float64)
    shifted = x.roll((3, 2), dims=(2, 3))  # 3 pixels down, 2 to the right; what falls out comes in at the other side
    before, after = conv(x), conv(shifted)
    yield f"z(r, c) of a picture at (10, 10): {float(before[0, 0, 10, 10]):+.6f}"
    yield f"of the picture moved by (3, 2), at (13, 12): {float(after[0, 0, 13, 12]):+.6f}"
    difference = float((after[..., 3:, 2:] - before[..., :-3, :-2]).abs().max())
    inside = after[..., 3:, 2:].numel()
    yield f"largest difference over the {inside} places whose windows lie in both pictures: {difference:.0e}"
    return difference


@claim("C35", slide="46, 47", topic="convolution", says="a convolutional layer turns a volume into a volume",
       expected={"volume": (20, 24, 24), "parameters": 1_520, "neurons": 11_520}, verdict="ok")
def volume_into_volume() -> Steps:
    layer = nn.Conv2d(3, 20, kernel_size=5)
    found = zoo.inspect(layer, (3, 28, 28)).layers[0]
    yield f"3x28x28 -> {found.output}: {found.size_formula}, one map for each of 20 filters"
    yield f"parameters: {found.count_formula}, 76 for each filter; of the picture's size they know nothing"
    yield f"products: {found.macs_formula} for one picture"
    volume = tuple(layer(torch.zeros(1, 3, 28, 28)).shape[1:])
    return {"volume": volume, "parameters": found.parameters, "neurons": math.prod(volume)}


@claim("C36", slide=48, topic="convolution", says="20 filters for MNIST, not hand-crafted but trained",
       expected={"filters": 20, "size": (5, 5), "neighbours alike": 0.44, "at the start": Within(-0.2, 0.2)},
       tolerance=0.01,
       verdict="shown", experiments=("mnist_nielsen",),
       why="Counted in the zoo's trained network; that neighbouring weights agree is what training has put into noise.")
def learned_filters() -> Steps:
    learnt = zoo.load("mnist-nielsen").convs[0].weight.detach()[:, 0]  # (20, 5, 5)
    start = zoo.create("nielsen_convnet", num_classes=10).convs[0].weight.detach()[:, 0]
    count, *size = learnt.shape
    yield f"{count} filters of {size[0]}x{size[1]}: {count * 25} numbers, drawn at random, then trained (figure C36)"
    after, before = neighbours_alike(learnt), neighbours_alike(start)
    yield "correlation of each weight with its neighbour to the right or below:"
    yield f"  at the start {before:+.2f}, trained {after:+.2f}: strokes and edges, not noise"
    return {"filters": count, "size": tuple(size), "neighbours alike": after, "at the start": before}


@claim("C37", slide=49, topic="pooling", says="2x2 max-pooling: 4 times fewer, each channel by itself; L2, average",
       stated={"factor": 4}, tolerance=1e-3, verdict="ok",
       expected={"factor": 4, "max": (6.0, 8.0, 14.0, 16.0), "average": (3.5, 5.5, 11.5, 13.5),
                 "L2": (8.124, 11.747, 23.367, 27.313)})
def pooling() -> Steps:
    x = torch.arange(1.0, 17.0).view(1, 1, 4, 4)
    yield "of the 4x4 numbers 1 ... 16 the first 2x2 are 1, 2, 5, 6"
    found = {}
    for name, layer in (("max", nn.MaxPool2d(2)), ("average", nn.AvgPool2d(2)), ("L2", nn.LPPool2d(2, 2))):
        found[name] = tuple(layer(x).flatten().tolist())
        sums = {"max": "max(1, 2, 5, 6)", "average": "(1 + 2 + 5 + 6) / 4", "L2": "sqrt(1 + 4 + 25 + 36)"}
        yield f"  {name:8} {sums[name]} = {found[name][0]:.3g};  all four: {', '.join(f'{v:.3g}' for v in found[name])}"
    maps = torch.randn(1, 20, 24, 24)
    pooled = nn.MaxPool2d(2)(maps)
    alone = torch.cat([nn.MaxPool2d(2)(maps[:, k : k + 1]) for k in range(20)], 1)
    assert torch.equal(pooled, alone)
    yield f"20x24x24 -> {'x'.join(map(str, pooled.shape[1:]))}, the same as each channel by itself; parameters: none"
    return {"factor": maps.numel() // pooled.numel()} | found


@claim("C38", slide=50, topic="architectures", says="28x28 -> 20x24x24 -> 20x12x12 -> 100 -> 10",
       stated={"maps": (20, 24, 24), "pooled": (20, 12, 12)},
       expected={"maps": (20, 24, 24), "pooled": (20, 12, 12), "neurons": 11_520, "pooled neurons": 2_880,
                 "parameters": 289_630},
       verdict="ok", experiments=("mnist_nielsen", "digits_lenet"))
def nielsens_network() -> Steps:
    network = zoo.create("nielsen_convnet", num_classes=10)
    layers = [layer for layer in zoo.inspect(network, (1, 28, 28)).layers if layer.kind != "relu"]
    for layer in layers:
        yield f"{layer.kind:10} {layer.output:>9}   {layer.count_formula or layer.size_formula}"
    sizes = [tuple(map(int, layer.output.split("x"))) for layer in layers]
    total = sum(p.numel() for p in network.parameters())
    yield f"{math.prod(sizes[0]):,} hidden neurons, pooled to {math.prod(sizes[1]):,}; {total:,} parameters together"
    return {"maps": sizes[0], "pooled": sizes[1], "neurons": math.prod(sizes[0]), "pooled neurons": math.prod(sizes[1]),
            "parameters": total}


@claim("C39", slide=50, topic="architectures", says="you can stack more convolutional and pooling layers",
       expected={"one": 289_630, "two": 85_670}, verdict="ok",
       experiments=("mnist_nielsen", "mnist_lenet", "mnist_lenet_paper"))
def stacked_convolutions() -> Steps:
    networks = {name: zoo.create("nielsen_convnet", num_classes=10, channels=channels)
                for name, channels in (("one", [20]), ("two", [20, 40]))}
    for layer in zoo.inspect(networks["two"], (1, 28, 28)).layers:
        yield f"{layer.kind:10} {layer.output:>9}   {layer.count_formula or layer.size_formula}"
    counts = {name: sum(p.numel() for p in network.parameters()) for name, network in networks.items()}
    yield f"{counts['two']:,} parameters, not {counts['one']:,} as with one convolution: 640 numbers are left of 2,880"
    return counts


@claim("C40", slide=50, topic="training", says="the whole network is trained by gradient descent with backprop",
       expected={"tensors that moved": 6, "loss before": Within(2.2, 2.45), "loss": Within(0.1, 0.45),
                 "accuracy": Within(0.88, 0.97)},
       verdict="shown", trains=True, experiments=("mnist_nielsen",),
       why="100 steps on scikit-learn's digits; on MNIST it reads 99.2 % after six epochs (experiment mnist_nielsen).")
def trained_as_a_whole() -> Steps:
    (x, y), (test_x, test_y) = (
        (F.interpolate(part, 28, mode="bilinear"), classes) for part, classes in (digits("train"), digits("test")))
    network = zoo.create("nielsen_convnet", num_classes=10)
    start = [p.detach().clone() for p in network.parameters()]
    with torch.no_grad():
        before = float(network.loss((test_x, test_y))["loss"])
    descend(network, x, y, 100, 0.05)
    with torch.no_grad():
        after = {name: float(value) for name, value in network.loss((test_x, test_y)).items()}
    ends = zip(network.named_parameters(), start, strict=True)
    moved = {name: float((p.detach() - w).norm() / w.norm()) for (name, p), w in ends}
    yield f"before: {before:.3f} nats, about log 10 = {math.log(10):.3f}"
    yield f"after 100 steps: {after['loss']:.3f} nats, {100 * after['acc']:.1f} % right"
    yield "how far each tensor has moved, as a share of its length at the start:"
    yield "  " + ", ".join(f"{name.replace('weight', 'w').replace('bias', 'b')} {x:.1f}" for name, x in moved.items())
    return {"tensors that moved": sum(share > 0.1 for share in moved.values()), "loss before": before,
            "loss": after["loss"], "accuracy": after["acc"]}


@claim("C41", slide=52, topic="applications", says="15M images, 22k classes; ILSVRC 1.3M, 50k, 100k, 1000 classes",
       stated={"images per class": 1_300, "pictures per synset": 682}, verdict="outside",
       expected={"images per class": 1_281.167, "pictures per synset": 650.02, "validation": 50, "test": 100},
       tolerance=0.01,
       why="image-net.org counts 1,281,167, and 14,197,122 in 21,841 synsets; the slide rounds as Krizhevsky 2012.")
def images_per_class() -> Steps:
    train, every, synsets, classes = 1_281_167, 14_197_122, 21_841, 1000
    yield f"ILSVRC: {train:,} / {classes} = {train / classes:,.1f} training images per class (slide: 1.3M, 1,300)"
    yield f"and 50,000 / {classes} = 50 to validate, 100,000 / {classes} = 100 to test"
    yield f"ImageNet: {every:,} / {synsets:,} = {every / synsets:.0f} per class (slide: 15M / 22k = {15e6 / 22e3:.0f})"
    return {"images per class": train / classes, "pictures per synset": every / synsets,
            "validation": 50_000 // classes, "test": 100_000 // classes}


@claim("C42", slide=52, topic="loss", says="top 5: right if the true class is among the 5 most likely",
       expected={"difference": 0.0, "of 100 classes by chance": 0.05, "all alike": 0.25},
       tolerance=0.005, verdict="ok",
       experiments=("imagenet_alexnet_paper", "imagenet_alexnet_torchvision"))
def top_five() -> Steps:
    network = zoo.create("alexnet", num_classes=20, variant="cifar").eval()
    x, y = torch.randn(40, 3, 32, 32), torch.arange(40) % 20
    with torch.no_grad():
        logits, metric = network(x), float(network.loss((x, y))["top5"])
        above = (logits > logits.gather(1, y[:, None])).sum(1)  # classes more likely than the true one
        rank = float((above < 5).float().mean())
        for p in network.classifier[-1].parameters():
            p.zero_()  # every class has the logit 0
        alike = float(network.loss((x, y))["top5"])
    judged = "right" if above[0] < 5 else "wrong"
    yield f"picture 1: {int(above[0])} of 20 classes are more likely than the true one, so it is {judged}"
    yield f"right among 40 pictures by rank: {rank:.3f}; by torch.topk in zoo/models/alexnet.py: {metric:.3f}"
    yield f"a net that holds all 20 alike: {alike:.2f} = 5 / 20, since topk breaks the ties"
    drawn = torch.rand(20_000, 100)
    chance = float(((drawn > drawn[:, :1]).sum(1) < 5).float().mean())
    yield f"by chance, 20,000 draws of 100 classes: {100 * chance:.1f} %, and 0.5 % of ImageNet's 1,000"
    return {"difference": abs(rank - metric), "of 100 classes by chance": chance, "all alike": alike}


@claim("C43", slide=53, topic="applications", says="AlexNet: 15.3 % top-5 errors, the second best entry 26.2 %",
       expected={"fewer errors": 0.416, "downloaded today": 20.934}, tolerance=0.0005, verdict="outside",
       experiments=("imagenet_alexnet_paper", "imagenet_alexnet_torchvision", "cifar10_alexnet"),
       why="Contest results of 2012. 15.3 is the mean of seven nets, two of them trained on all of ImageNet first.")
def alexnet_in_the_contest() -> Steps:
    best, second = 15.3, 26.2
    fewer, mistakes = (second - best) / second, [f"{1000 * share:,.0f}" for share in (best, second)]
    yield f"({second} - {best}) / {second} = {100 * fewer:.1f} % fewer errors: {mistakes[0]} instead of {mistakes[1]}"
    yield "  of 100,000 test images"
    yield "on the way to 15.3 (Krizhevsky 2012, table 2): one net with ten views 18.2, five nets 16.4, and two more"
    downloaded = 100 - 79.066
    yield f"who downloads AlexNet today sees {downloaded:.2f} %: torchvision's net of 2014, one view, acc@5 79.066 %"
    return {"fewer errors": fewer, "downloaded today": downloaded}


@claim("C44", slide="54, 55", topic="architectures", says="AlexNet's structure and its first filters",
       expected={"maps": (55, 27, 27, 13, 13, 13, 13, 6), "numbers": (9_216, 4_096, 4_096, 1_000),
                 "filters": (96, 3, 11, 11)},
       verdict="extraction", experiments=("imagenet_alexnet_paper", "cifar10_alexnet"),
       why="Both slides are pictures that the text lacks; built here as the paper describes it.")
def alexnet_layer_by_layer() -> Steps:
    with torch.device("meta"):
        network = zoo.create("alexnet", num_classes=1000, variant="paper")
    layers = [layer for layer in zoo.inspect(network, (3, 224, 224)).layers if layer.kind in SPATIAL + ("linear",)]
    for layer in layers:
        yield f"{layer.kind:11} {layer.output:>9}   {layer.size_formula or layer.count_formula}"
    filters = network.features[0].weight
    yield f"first filters: {len(filters)} of 3x11x11, 48 on each GPU; experiment cifar10_alexnet draws learned ones"
    maps = tuple(int(layer.output.split("x")[1]) for layer in layers if layer.kind in SPATIAL)
    numbers = [int(layer.output) for layer in layers if layer.kind == "linear"]
    return {"maps": maps, "numbers": (network.classifier[0].in_features, *numbers), "filters": tuple(filters.shape)}


@claim("C45", slide=56, topic="parameters", says="two data flows for two GPUs, 60M parameters; ReLUs, dropout",
       stated={"paper": 60_000_000}, expected={"paper": 60_965_224, "single": 62_378_344, "torchvision": 61_100_840},
       rounding=0.02, verdict="ok", experiments=("imagenet_alexnet_paper", "imagenet_alexnet_torchvision"))
def sixty_million_parameters() -> Steps:
    counts = {}
    for variant in ("paper", "single", "torchvision"):
        with torch.device("meta"):
            network = zoo.create("alexnet", num_classes=1000, variant=variant)
        counts[variant] = sum(p.numel() for p in network.parameters())
        layers = [layer for layer in network.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
        convolved = sum(p.numel() for layer in layers if isinstance(layer, nn.Conv2d) for p in layer.parameters())
        kinds = {"paper": "two data flows", "single": "one flow", "torchvision": "one flow, narrower (2014)"}
        yield f"{variant:12} {kinds[variant]:26} {convolved:9,} in convolutions, together {counts[variant]:,}"
    halved = counts["single"] - counts["paper"]
    yield f"conv2, 4 and 5 see only the maps of their own GPU: {halved:,} weights fewer; fc6 alone has 37,752,832"
    return counts


@claim("C46", slide=57, topic="architectures", says="ZFNet, 11.2 %: more and smaller filters, deeper",
       expected={"layers": 8, "AlexNet's": 8, "first filters": (96, 3, 7, 7), "parameters": 62_357_608},
       verdict="wrong",
       why="No deeper. 11.2 % is Clarifai's, with more data (GoogLeNet paper, table 2); Zeiler & Fergus report 14.8 %.",
       correction="14.8 % (Clarifai: 11.2 %); first filters 7x7, not 11x11; as deep as AlexNet")
def zfnet_is_not_deeper() -> Steps:
    parameters, layers, _ = counted(zfnet)
    others, alexnet, _ = counted(lambda: zoo.create("alexnet", num_classes=1000, variant="single"))
    with torch.device("meta"):
        filters = tuple(zfnet()[0][0].weight.shape)
    yield f"smaller: {filters[0]} filters of {filters[2]}x{filters[3]} at stride 2; AlexNet has 96 of 11x11 at stride 4"
    yield "more: not in the published net (96, 256, 384, 384, 256 maps); a variant has 512, 1024, 512 in the last three"
    yield f"deeper: {layers} layers with weights, AlexNet {alexnet}"
    yield f"parameters {parameters:,}; AlexNet in one piece {others:,}"
    return {"layers": layers, "AlexNet's": alexnet, "first filters": filters, "parameters": parameters}


@claim("C47", slide=58, topic="architectures", says="VGG Net: 6.8 %, 22 layers of neurons",
       stated={"VGG-16": 22, "VGG-19": 22},
       expected={"VGG-16": 16, "VGG-19": 19, "VGG-16 with input and pooling": 22,
                 "parameters": (138_357_544, 143_667_240)},
       verdict="ambiguous",
       why="Counted as ResNet's 152 are, 16 or 19. With input and poolings as layers, as on slide 50, VGG-16 has 22.",
       correction="16 or 19 layers with weights; it is GoogLeNet that has 22")
def vgg_layers() -> Steps:
    (small, sixteen, pooled), (large, nineteen, _) = counted(vgg, 16), counted(vgg, 19)
    yield f"VGG-16: 2 + 2 + 3 + 3 + 3 convolutions and 3 fully connected = {sixteen} layers; {small:,} parameters"
    yield f"VGG-19: 2 + 2 + 4 + 4 + 4 + 3 = {nineteen}; {large:,} parameters"
    yield f"with five poolings VGG-16 comes to {pooled}, with its input to {pooled + 1}; GoogLeNet so counted has 28"
    yield "6.8 %: two nets together, after the contest; handed in 7.3 %, a single net 7.0 % (VGG paper, table 7)"
    return {"VGG-16": sixteen, "VGG-19": nineteen, "VGG-16 with input and pooling": pooled + 1,
            "parameters": (small, large)}


@claim("C48", slide=58, topic="architectures", says="GoogLeNet: 6.66 %, more than 30 layers of neurons",
       stated="more than 30", expected={"deep": 22, "with pooling": 27, "modules with weights": 58}, verdict="wrong",
       why="No way from input to output has so many; more than 30 are there if side branches are counted: 58.",
       correction="22 layers with weights, 27 with poolings, as its paper says")
def googlenet_layers() -> Steps:
    _, deep, pooled = counted(GoogLeNet)
    with torch.device("meta"):
        modules = sum(isinstance(module, (nn.Conv2d, nn.Linear)) for module in GoogLeNet().modules())
    yield f"3 convolutions + 9 inception modules of 2 + 1 linear layer = {deep} on the longest way"
    yield f"with 4 max-poolings and the average at the end: {pooled}"
    yield f"every convolution by itself: 3 + 9 * 6 + 1 = {modules} modules with weights, many of them side by side"
    return {"deep": deep, "with pooling": pooled, "modules with weights": modules}


@claim("C49", slide=58, topic="parameters", says="GoogLeNet has only 5M parameters, AlexNet 60M",
       stated={"GoogLeNet": 5_000_000},
       expected={"GoogLeNet": 6_998_552, "with both heads": 13_378_280, "AlexNet's, times fewer": 8.71}, tolerance=0.01,
       verdict="wrong",
       why="The paper's text says 12 times fewer than AlexNet, which gives 5M; its own table 1 adds up to 6.8M.",
       correction="7M parameters, 8.7 times fewer than AlexNet")
def googlenet_parameters() -> Steps:
    (parameters, *_), (heads, *_) = counted(GoogLeNet), counted(GoogLeNet, True)
    alexnet, *_ = counted(lambda: zoo.create("alexnet", num_classes=1000, variant="paper"))
    yield f"GoogLeNet {parameters:,}; with the two heads that only help in training {heads:,}"
    last = 1024 * 1000 + 1000
    yield f"without its last layer, 1024 * 1000 + 1000: {parameters - last:,}"
    yield f"AlexNet {alexnet:,}: {alexnet:,} / {parameters:,} = {alexnet / parameters:.1f} times as many"
    return {"GoogLeNet": parameters, "with both heads": heads, "AlexNet's, times fewer": alexnet / parameters}


@claim("C50", slide=58, topic="architectures", says="inception: small convolutions and pooling side by side",
       expected={"maps": (64, 128, 32, 32), "output": (256, 28, 28), "parameters": 163_696}, verdict="ok")
def inception_module() -> Steps:
    with torch.device("meta"):
        module, x = Inception(192, INCEPTIONS["3a"]), torch.empty(1, 192, 28, 28)
        parts = [tuple(branch(x).shape[1:]) for branch in module.branches]
        output = tuple(module(x).shape[1:])
    kinds = ("1x1", "1x1 then 3x3", "1x1 then 5x5", "3x3 max-pooling then 1x1")
    for kind, branch, part in zip(kinds, module.branches, parts, strict=True):
        count = sum(p.numel() for p in branch.parameters())
        yield f"{kind:25} 192x28x28 -> {'x'.join(map(str, part)):9} {count:7,} parameters"
    yield f"put together: {' + '.join(str(part[0]) for part in parts)} = {output[0]} maps of 28x28"
    direct = 192 * 25 * 32 + 32
    yield f"the 1x1 before the 5x5 saves much: without it 192 * 25 * 32 + 32 = {direct:,} parameters"
    return {"maps": tuple(part[0] for part in parts), "output": output,
            "parameters": sum(p.numel() for p in module.parameters())}


@claim("C51", slide=58, topic="applications", says="human error is 5.1 %, not easily obtainable",
       expected={"wrong": 76, "interval": (3.957, 6.177), "p": 0.0223}, tolerance=0.001, verdict="outside",
       why="One annotator and 1,500 images (Russakovsky et al. 2015, section 6.4); GoogLeNet missed 6.8 % of the same.")
def human_error() -> Steps:
    images, human, machine = 1500, 0.051, 0.068
    errors = [round(share * images) for share in (human, machine)]
    yield f"one person, {images:,} images: 5.1 % are {errors[0]} mistakes; GoogLeNet, 6.8 %: {errors[1]}"
    p, q = (count / images for count in errors)
    deviation = math.sqrt(p * (1 - p) / images)
    low, high = p - 1.96 * deviation, p + 1.96 * deviation
    yield f"95 % interval: {100 * p:.2f} +- 1.96 * sqrt(p (1 - p) / n) = {100 * low:.1f} to {100 * high:.1f} %"
    both = sum(errors) / (2 * images)
    z = (q - p) / math.sqrt(2 * both * (1 - both) / images)
    chance = 0.5 * math.erfc(z / math.sqrt(2))
    yield f"is the person better? z = {z:.2f}, one-sided p = {chance:.3f} (the paper: 0.022)"
    return {"wrong": errors[0], "interval": (100 * low, 100 * high), "p": chance}


@claim("C52", slide=59, topic="architectures", says="ResNet: 3.6 %, 152 layers, 2 to 3 weeks on 8 GPUs",
       stated={"layers": 152},
       expected={"layers": 152, "parameters": 60_192_808, "teraflops per GPU": Within(0.5, 1.5)}, verdict="ok")
def resnet_layers() -> Steps:
    parameters, layers, _ = counted(resnet)
    yield f"on the longest way {layers} layers with weights: 1 + 3 * (3 + 8 + 36 + 3) + 1"
    yield f"{parameters:,} parameters, as many as AlexNet; 3.57 % is six nets together, one 4.49 % (He et al. 2016)"
    with torch.device("meta"):
        macs = zoo.inspect(resnet().eval(), (3, 224, 224)).macs
    work = 600_000 * 256 * 3 * 2 * macs  # forward, and twice as much backward; a MAC is two operations
    yield f"is it feasible? {macs / 1e9:.1f}e9 MACs * 2 * 3 * 256 pictures * 600,000 steps = {work:.1e} operations"
    each = work / (8 * 2.5 * 7 * 86_400) / 1e12
    yield f"in 2.5 weeks on 8 GPUs {each:.2f}e12 a second each; the GPUs of 2015 reached 4 to 7 at most"
    return {"layers": layers, "parameters": parameters, "teraflops per GPU": each}


@claim("C53", slide=59, topic="architectures", says="skips: each layer is trained to residuals of the previous one",
       expected={"identity": 0.0, "gradient through": 1.0, "skips": 50}, verdict="loose",
       why="A skip spans three layers (two in ResNet-34); they learn what the block's input lacks, F(x) = H(x) - x.",
       correction="each block of two or three layers is trained to the residual of its input")
def block_of_residuals() -> Steps:
    block = Bottleneck(256, 64).eval()
    x = torch.rand(1, 256, 8, 8, requires_grad=True)  # what comes out of a ReLU: >= 0
    nn.init.zeros_(block.residual[-1].weight)  # the last scale: F(x) = 0
    y = block(x)
    difference = float((y - x).detach().abs().max())
    (gradient,) = torch.autograd.grad(y.sum(), x)
    through = float(gradient.mean())
    yield f"y = relu(x + F(x)); with F = 0 the block is the identity: difference {difference}"
    yield f"dy/dx = 1 + F'(x) = {through} then: whatever F does, the gradient has a way that multiplies by 1"
    with torch.device("meta"):
        network = resnet()
    skips = sum(isinstance(module, Bottleneck) for module in network)
    yield f"ResNet-152 has {skips} skips for {3 * skips} layers, not one for each: 1x1, 3x3, 1x1 under each of them"
    return {"identity": difference, "gradient through": through, "skips": skips}


@claim("C54", slide="61, 62", topic="recurrence", says="feed-forward nets have no memory and a fixed number of steps",
       expected={"change": 0.0, "gradient": 0.0}, verdict="ok")
def no_memory() -> Steps:
    from zoo.lectures import barcelona

    return (yield from barcelona.mlp_sees_only_now())


@claim("C55", slide=63, topic="recurrence", says="unrolled in time: copies of the same network, a message to the next",
       expected=Within(high=1e-12), verdict="ok", experiments=("abc_rnn",))
def copies_of_one_network() -> Steps:
    from zoo.lectures import cyprus

    return (yield from cyprus.shared_weights_unrolled())


@claim("C56", slide=64, topic="recurrence", says="five ways of sequences going in and coming out",
       expected={"1 to 1": (1, 3), "1 to N": (1, 5), "N to 1": (1, 3), "N to M": (1, 4, 20), "N to N": (1, 6, 4)},
       verdict="ok", experiments=("reviews_lstm", "multi30k_gru_attention", "shakespeare_lstm"))
def five_modes() -> Steps:
    from zoo.lectures import cyprus

    return (yield from cyprus.five_modes())


@claim("C57", slide=65, topic="backpropagation", says="BPTT: backprop on the unfolded net, gradients summed",
       expected=Within(high=1e-12), verdict="ok", experiments=("abc_rnn",))
def gradients_summed_over_copies() -> Steps:
    from zoo.lectures import cyprus

    return (yield from cyprus.shared_weights_unrolled())


@claim("C58", slide="66, 67", topic="recurrence", says="clouds are in the [sky]; born in France ... fluently [French]",
       expected={"RNN, gap 1": Within(0.75, 1.0), "RNN, gap 40": Within(0.1, 0.5), "LSTM, gap 40": Within(0.97, 1.0)},
       verdict="shown", trains=True, experiments=("recall_rnn", "recall_irnn", "recall_gru", "recall_lstm"),
       why="Symbols stand for words: one to be recalled, a gap of others, the question.")
def clouds_and_france() -> Steps:
    from zoo.lectures import cyprus

    return (yield from cyprus.recall_over_a_gap())


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
    return {"by hand, gap 1000": share} | (yield from cyprus.recall_over_a_gap())


@claim("C60", slide=68, topic="gates", says="LSTM, 1997; all successful RNN applications were achieved by it",
       expected={"GRU, gap 20": Within(0.95, 1.0), "share of the LSTM's parameters": 0.75}, verdict="loose",
       trains=True, experiments=("recall_gru", "shakespeare_gru"),
       why="1997 is right. But RNN language models (Mikolov 2010) and GRU translation (Cho 2014) succeeded without.",
       correction="most of the successful applications")
def not_only_the_lstm() -> Steps:
    from zoo.lectures.cyprus_runs import recall_curve

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
       expected={"difference": Within(high=1e-12), "kept, f = 1": 1.0, "kept, f = 0.5": 7.888609e-31}, verdict="loose",
       experiments=("shakespeare_lstm", "break_forget_bias"),
       why="The formulas are pictures; the forget gate is not of 1997, whom slide 68 credits, but of Gers et al. 2000.",
       correction="the forget gate came in 2000 (Gers, Schmidhuber & Cummins); in 1997 the state was only added to")
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


# --- what several rows share --------------------------------------------------------------------------------------

SPATIAL = ("conv2d", "max_pool2d")  # what of AlexNet gives maps, as zoo.inspect calls it
SYNONYMS = "film movie, big large, begin start, buy purchase, quick fast, often frequently, happy glad, sick ill, " \
    "rich wealthy, help assist, car vehicle, kid child"
ANALOGIES = {
    "family": "man woman, king queen, boy girl, father mother, son daughter, brother sister, husband wife, he she, "
    "his her, uncle aunt, prince princess, actor actress",
    "comparative": "good better, bad worse, great greater, high higher, large larger, small smaller, big bigger, "
    "long longer, low lower, old older, young younger, strong stronger, easy easier, hard harder, fast faster",
    "past": "say said, go went, see saw, take took, make made, come came, think thought, find found, give gave, "
    "know knew, tell told, begin began, run ran, write wrote",
    "plural": "man men, woman women, child children, year years, day days, country countries, film films, "
    "movie movies, war wars, state states, city cities, company companies, girl girls, boy boys, book books, "
    "word words, car cars",
}
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


def neighbours_alike(filters: Tensor) -> float:
    """Correlation between each weight of filters (N, h, w) and the one to its right or below it."""
    here = torch.cat([filters[:, :, :-1].flatten(), filters[:, :-1].flatten()])
    there = torch.cat([filters[:, :, 1:].flatten(), filters[:, 1:].flatten()])
    return float(torch.corrcoef(torch.stack([here, there]))[0, 1])

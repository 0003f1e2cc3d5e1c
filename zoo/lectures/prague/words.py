# fmt: off
"""Prague (P. Pošík), C01 to C12: what deep learning is; words as vectors."""

import math

import torch
import torch.nn.functional as F

import zoo
from zoo.lectures.ledger import Steps, Within, claim
from zoo.lectures.prague.runs import (
    ConvNet1989,
    help_topics,
    learnt_vectors,
)
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


@claim("C03", slide=7, topic="history", says="1990s: convolutional networks (LeCun), recurrent networks (Schmidhuber)",
       expected={"neurons": 1_256, "connections": 64_660, "parameters": 9_760},
       verdict="loose",
       why="Both are a little older: LeCun's ConvNet, counted here, is of 1989 (Neural Computation 1:4), and recurrent "
           "networks were trained by back-propagation from 1986 on.",
       correction="Convolutional networks 1989 (LeCun); recurrent ones 1986 (Jordan), 1990 (Elman); LSTM 1997")
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
    yield f"rank correlation with the longitude {correlation:.2f}; {100 * chance:.0f} % of shufflings reach as much"
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

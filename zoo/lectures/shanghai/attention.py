# fmt: off
"""Shanghai, S42 to S47: self-attention."""

import math

import torch
import torch.nn.functional as F

import zoo
from zoo.lectures.ledger import Steps, Within, claim
from zoo.lectures.shanghai.runs import count
from zoo.models.attention import MultiHeadAttention, Positions, attention, attention_weights, blocks


@claim("S42", slide="Intuition Behind Self-Attention", topic="attention",
       says="data is fed in all at once: position must be encoded to understand order",
       expected={"without positions": Within(high=1e-5), "with positions": Within(low=0.1)}, verdict="ok",
       experiments=("pydoc_transformer", "shakespeare_transformer"))
def attention_without_order() -> Steps:
    block = blocks(1, hidden_size=16, num_heads=2, feedforward_size=32, dropout=0.0, attention_dropout=0.0, norm="pre",
                   activation="relu", implementation="fused")[0]
    x, order = torch.randn(1, 6, 16), torch.tensor([3, 0, 5, 1, 4, 2])
    differences = {}
    for name, kind in (("without positions", "none"), ("with positions", "sinusoidal")):
        places = Positions(kind, context_length=6, hidden_size=16)
        with torch.no_grad():
            straight, shuffled = block(places(x)), block(places(x[:, order]))
        differences[name] = (straight[:, order] - shuffled).abs().max().item()
    yield f"six vectors of 16 numbers through a Transformer block, and again in the order {order.tolist()}"
    without, with_places = differences.values()
    yield f"without positions: the same six outputs, reordered; largest difference {without:.0e}"
    yield f"with sin, cos of the place added: other outputs; largest difference {with_places:.2f}"
    return differences


@claim("S43", slide="Goal: identify and attend to ...", topic="attention",
       says='query-key similarity, scaled dot product: "also known as cosine similarity"',
       expected={"dot product": 28.0, "scaled": 16.165808, "cosine": 1.0, "unit vectors": 1.0}, tolerance=1e-5,
       verdict="wrong",
       why="A cosine divides by |q| |k|, attention by sqrt(d), whatever the lengths; a dot product is a cosine only "
           "between unit vectors.",
       correction="The scaled dot product; cosine similarity would divide by |q| |k|")
def cosine_or_dot_product() -> Steps:
    q, k = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([2.0, 4.0, 6.0])
    dot = (q @ k).item()
    scaled = dot / math.sqrt(3)
    yield f"q = (1, 2, 3), k = (2, 4, 6) = 2 q:  q k = 2 + 8 + 18 = {dot:g};  / sqrt(3) = {scaled:.4f}"
    cosine = F.cosine_similarity(q, k, dim=0).item()
    yield f"cosine: {dot:g} / (|q| |k|) = {dot:g} / ({q.norm().item():.4f} * {k.norm().item():.4f}) = {cosine:.4f}"
    unit = (F.normalize(q, dim=0) @ F.normalize(k, dim=0)).item()
    yield f"both at length 1: dot product {unit:.4f}, the cosine"
    weights = torch.tensor([1.0, -1.0]).softmax(0)
    yield f"a softmax of cosines, -1 to 1, is never sharper than {weights[0]:.2f} to {weights[1]:.2f} between two keys"
    return {"dot product": dot, "scaled": scaled, "cosine": cosine, "unit vectors": unit}


@claim("S44", slide="Goal: identify and attend to ...", topic="attention",
       says="A(Q, K, V) = softmax(Q K^T / scaling) V",
       expected={"difference": Within(high=1e-6), "sum of a row": 1.0, "deviation of q k": Within(7.8, 8.2)},
       tolerance=1e-6, verdict="ok", why="The slide leaves the scaling open; it is sqrt(d) (Vaswani et al. 2017).",
       experiments=("pydoc_transformer", "shakespeare_transformer_gpu"))
def scaled_dot_product_attention() -> Steps:
    q, k, v = torch.randn(3, 1, 1, 6, 64).unbind(0)  # (B, A, T, d) each
    difference = (attention(q, k, v) - F.scaled_dot_product_attention(q, k, v)).abs().max().item()
    yield f"6 queries, 6 keys, d = 64: attention written out against PyTorch's: largest difference {difference:.0e}"
    weights = attention_weights(q, k)[0, 0]
    row = weights[0].sum().item()
    yield f"weights of query 1: {' + '.join(f'{w:.3f}' for w in weights[0].tolist())} = {row:.4f}"
    many = torch.randn(2, 20_000, 64)
    products = (many[0] * many[1]).sum(1)
    deviation = products.std().item()
    yield f"q, k ~ N(0, 1): q k is a sum of 64 products, deviation {deviation:.2f}; sqrt(64) = 8 brings it back to 1"
    sharp = products[:19_998].view(-1, 6)
    tops = [(sharp / scale).softmax(1).max(1).values.mean().item() for scale in (1.0, 8.0)]
    yield f"largest of 6 weights, mean: {tops[0]:.2f} unscaled, where softmax learns little; {tops[1]:.2f} scaled"
    return {"difference": difference, "sum of a row": row, "deviation of q k": deviation}


@claim("S45", slide="Applying Multiple Self-Attention Heads", topic="attention",
       says="each head attends to a different part of the input",
       expected={"parameters": (16_640, 16_640, 16_640, 16_640), "nearest": Within(0.5, 2.0),
                 "farthest": Within(10.0, 20.0)},
       verdict="ok", experiments=("shakespeare_transformer", "shakespeare_transformer_fast", "recall_transformer"))
def heads_look_elsewhere() -> Steps:
    counts = tuple(count(MultiHeadAttention(64, heads)) for heads in (1, 2, 4, 8))
    yield f"D = 64, 1, 2, 4, 8 heads: 4 * 64^2 + 4 * 64 = {', '.join(f'{n:,}' for n in counts)}, whatever the number"
    network = zoo.load("shakespeare-transformer")
    text = "ROMEO:\nWhat shall I say to you, my lord, that you have not heard?\n"
    with torch.no_grad():
        maps = network.attention_maps(network.encode(text)[None])[0][0]  # first layer (A, T, T)
    places = torch.arange(len(text))
    back = (maps * (places[:, None] - places)).sum(2)[:, 20:].mean(1)  # mean distance, of all but the first places
    yield f"a Transformer that writes Shakespeare, first layer, {len(text)} characters: a head looks back on average"
    yield f"  {', '.join(f'{distance:.1f}' for distance in back.tolist())} characters"
    return {"parameters": counts, "nearest": back.min().item(), "farthest": back.max().item()}


@claim("S46", slide="Self-Attention Applied", topic="history",
       says="BERT 2019, GPT-3 2020, AlphaFold2 2021, Vision Transformers ICLR 2020",
       stated={"ViT": "ICLR 2020"},
       expected={"ViT": "ICLR 2021", "BERT sees what follows": True, "GPT sees what follows": False,
                 "words of a picture": 196},
       verdict="wrong", experiments=("multi30k_transformer", "multi30k_transformer_gpu"),
       why="An Image is Worth 16x16 Words came out as arXiv 2010.11929, half a year after ICLR 2020 had ended. The "
           "other three are right.",
       correction="Dosovitskiy et al., ICLR 2021")
def three_uses_of_a_block() -> Steps:
    year, month = 2000 + int("2010.11929"[:2]), int("2010.11929"[2:4])
    iclr = {2020: (2020, 4), 2021: (2021, 5)}  # when each was held: April and May
    venue = next(held for held, date in iclr.items() if date > (year, month))
    yield f"arXiv 2010.11929: submitted {month}/{year}; ICLR 2020 was in 4/2020, so it is ICLR {venue}"
    block = blocks(1, hidden_size=16, num_heads=2, feedforward_size=32, dropout=0.0, attention_dropout=0.0, norm="pre",
                   activation="gelu", implementation="fused")[0]
    x = torch.randn(1, 5, 16)
    changed = torch.cat([x[:, :4], -x[:, 4:]], 1)  # another last word
    sees = {}
    for name, causal in (("BERT", False), ("GPT", True)):
        with torch.no_grad():
            change = (block(x, causal=causal) - block(changed, causal=causal))[0, 0].abs().max().item()
        sees[f"{name} sees what follows"] = change > 1e-6
        yield f"one block as in {name}: another word 5 changes the answer at word 1 by {change:.2g}"
    words = zoo.conv_size(224, kernel=16, stride=16).output ** 2
    yield f"as in ViT: a picture of 224x224 in patches of 16x16: (224 / 16)^2 = {words} words"
    return {"ViT": f"ICLR {venue}"} | sees | {"words of a picture": words}


@claim("S47", slide="Sequence Modeling: Summary", topic="recurrence",
       says="recurrence relation, back-propagation through time; self-attention without recurrence",
       expected=Within(high=1e-6), verdict="ok",
       experiments=("abc_rnn", "shakespeare_lstm", "shakespeare_transformer"))
def summary_of_sequences() -> Steps:
    from zoo.lectures.bptt import bptt

    network = zoo.create("char_rnn", vocabulary="abcd", cell="rnn", hidden_size=3, implementation="reference",
                         variant="lecture")
    x, targets = network.encode("abca"), network.encode("bcad")
    by_hand = bptt(network, x, targets)
    loss = network.loss((x[None], targets[None]))["loss"]
    loss.backward()
    yield f"a recurrence h_t = tanh(Wx x_t + Wh h_(t-1) + b), 3 neurons, reads a b c a: loss {loss.item():.4f}"
    parts = [part[0, 0].item() for part in by_hand.gradients["Whh"]]
    yield f"through time: dL/dWh[1,1] = {' '.join(f'{part:+.5f}' for part in parts)} = {sum(parts):+.5f}"
    difference = (by_hand.gradients["Whh"].sum(0) - network.layers.weight_hh_l0.grad).abs().max().item()
    yield f"autograd: {network.layers.weight_hh_l0.grad[0, 0].item():+.5f}; largest difference over Wh {difference:.0e}"
    yield "point 5, attention: S42 to S45"
    return difference

"""Attention against PyTorch's own and against numbers by hand; caches, masks and positions; what the networks learn."""

import math
import time
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import zoo
from zoo.models.attention import MultiHeadAttention, Positions, attention, attention_weights, causal_mask, sinusoids
from zoo.models.decoding import BEGIN, END, PADDING
from zoo.models.dropout import Dropout
from zoo.registry import build

BOTH = pytest.mark.parametrize("implementation", ["fused", "reference"])
NORMS = pytest.mark.parametrize("norm", ["pre", "post"])


def make(name: str, **given: Any) -> nn.Module:
    torch.manual_seed(0)
    fill = {
        "char_transformer": {"vocabulary": "abcdefgh", "context_length": 12, "hidden_size": 16},
        "sequence_transformer": {"num_classes": 3, "vocab_size": 7, "in_features": 0, "context_length": 12}
        | {"hidden_size": 16, "num_layers": 2},
        "transformer": {"vocab_size": 20, "hidden_size": 16, "num_layers": 2},
    }[name]
    return zoo.create(name, **(fill | given)).eval()


def sentences(batch: int = 3, longest: int = 7) -> tuple[Tensor, Tensor]:
    """Sources and targets of several lengths."""
    generator = torch.Generator().manual_seed(1)
    source = torch.randint(4, 20, (batch, longest), generator=generator)
    target = torch.randint(4, 20, (batch, longest + 2), generator=generator)
    target[:, 0] = BEGIN
    for i in range(batch):
        source[i, longest - i - 1], target[i, longest - i] = END, END
        source[i, longest - i :], target[i, longest - i + 1 :] = PADDING, PADDING
    return source, target


def test_attention_by_hand() -> None:
    """S44 with d = 4, so that the scaling is 2: scores (2, 0) / 2, weights e : 1."""
    q = torch.tensor([[2.0, 0, 0, 0]]).view(1, 1, 1, 4)
    k = torch.tensor([[1.0, 0, 0, 0], [0, 5, 0, 0]]).view(1, 1, 2, 4)
    v = torch.tensor([[1.0, 0, 0, 0], [0, 0, 0, 1]]).view(1, 1, 2, 4)
    answer, weights = attention(q, k, v), attention_weights(q, k)
    e = math.e
    torch.testing.assert_close(weights.flatten(), torch.tensor([e / (e + 1), 1 / (e + 1)]))
    torch.testing.assert_close(answer.flatten(), torch.tensor([e / (e + 1), 0, 0, 1 / (e + 1)]))


@pytest.mark.parametrize("masked", [False, True])
def test_attention_is_what_pytorch_computes(masked: bool) -> None:
    q, k, v = torch.randn(3, 2, 4, 5, 8).double()
    mask = causal_mask(5, 5, q.device) if masked else None
    answer, weights = attention(q, k, v, mask), attention_weights(q, k, mask)
    torch.testing.assert_close(answer, F.scaled_dot_product_attention(q, k, v, mask), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 4, 5).double())  # rows sum to one (S44)
    if masked:
        assert (weights[..., ~mask] == 0).all()


def test_the_scaled_dot_product_is_a_cosine_only_between_unit_vectors() -> None:
    """S43: q = (1, 2, 3) and k = (2, 4, 6) have the cosine 1; their scaled dot product is 28 / sqrt(3)."""
    q, k = torch.tensor([1.0, 2, 3]), torch.tensor([2.0, 4, 6])
    assert float(q @ k) / math.sqrt(3) == pytest.approx(16.17, abs=0.005)
    assert float(F.cosine_similarity(q, k, 0)) == pytest.approx(1.0)
    unit_q, unit_k = (x / x.norm() for x in (q, k))
    assert float(unit_q @ unit_k) == pytest.approx(1.0)


@BOTH
def test_several_heads_are_what_pytorch_computes(implementation: str) -> None:
    own = MultiHeadAttention(16, 4, implementation=implementation)
    theirs = nn.MultiheadAttention(16, 4, batch_first=True)
    theirs.in_proj_weight.data = torch.cat([own.query.weight, own.key_value.weight])
    theirs.in_proj_bias.data = torch.cat([own.query.bias, own.key_value.bias])
    theirs.out_proj.load_state_dict(own.output.state_dict())
    x, memory = torch.randn(2, 5, 16), torch.randn(2, 7, 16)
    keys, values = own.keys_values(memory)
    answers, weights = theirs(x, memory, memory, average_attn_weights=False)
    torch.testing.assert_close(own(x, keys, values), answers, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(own.weights(x, keys, None), weights, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("bias", [True, False])
def test_parameters_do_not_depend_on_the_number_of_heads(bias: bool) -> None:
    """S45: 4 D^2, and 4 D with biases."""
    counts = {sum(p.numel() for p in MultiHeadAttention(24, heads, bias=bias).parameters()) for heads in (1, 2, 3, 24)}
    assert counts == {4 * 24**2 + 4 * 24 * bias}
    for name in ("char_transformer", "sequence_transformer", "transformer"):
        whole = {sum(p.numel() for p in make(name, num_heads=heads).parameters()) for heads in (1, 2, 8, 16)}
        assert len(whole) == 1


def test_the_base_model_of_2017_has_65_million_parameters() -> None:
    """Table 3: 6 + 6 layers, D = 512, 2048 between, one vocabulary of about 37,000 tokens."""
    with torch.device("meta"):
        net = zoo.create("transformer", vocab_size=37_000, hidden_size=512, num_heads=8, num_layers=6)
    layers = 6 * (12 * 512**2 + 13 * 512) + 6 * (16 * 512**2 + 19 * 512)  # 2048 = 4 D between; 63.1 M in all
    assert sum(p.numel() for p in net.parameters()) == 37_000 * 512 + layers == pytest.approx(65e6, rel=0.03)


@NORMS
@BOTH
def test_an_encoder_is_what_pytorch_computes(norm: str, implementation: str) -> None:
    own = make("sequence_transformer", norm=norm, implementation=implementation, position="none", num_layers=1)
    theirs = nn.TransformerEncoderLayer(16, 4, 64, 0.0, F.gelu, batch_first=True, norm_first=norm == "pre").eval()
    copy_layer(theirs, own.blocks[0])
    theirs.norm1, theirs.norm2 = own.blocks[0].attention_norm, own.blocks[0].feedforward_norm
    x = torch.randint(7, (2, 9))
    lengths = torch.tensor([9, 4])
    with torch.no_grad():
        h = theirs(own.embedding(x), src_key_padding_mask=torch.arange(9) >= lengths[:, None])
        expected = own.output(own.norm(h)[[0, 1], [8, 3]])
        torch.testing.assert_close(own(x, lengths), expected, rtol=1e-5, atol=1e-6)


@NORMS
def test_a_decoder_is_what_pytorch_computes(norm: str) -> None:
    own = make("transformer", norm=norm, num_layers=1)
    theirs = nn.TransformerDecoderLayer(16, 4, 64, 0.0, batch_first=True, norm_first=norm == "pre").eval()
    block = own.decoder[0]
    copy_layer(theirs, block)
    theirs.norm1, theirs.norm2, theirs.norm3 = block.attention_norm, block.memory_norm, block.feedforward_norm
    theirs.multihead_attn.in_proj_weight.data = torch.cat(
        [block.memory_attention.query.weight, block.memory_attention.key_value.weight]
    )
    theirs.multihead_attn.in_proj_bias.data.zero_()
    theirs.multihead_attn.out_proj = block.memory_attention.output
    source, target = sentences()
    with torch.no_grad():
        hidden = source == PADDING
        h = own.positions(own.embedding(source) * 4)  # sqrt(D), as in section 3.4
        for layer in own.encoder:
            h = layer(h, ~hidden[:, None, None])
        causal = nn.Transformer.generate_square_subsequent_mask(target.shape[1])
        memory = own.encoder_norm(h)
        y = theirs(own.embed(target), memory, tgt_mask=causal, memory_key_padding_mask=hidden, tgt_is_causal=True)
        expected = own.decoder_norm(y) @ own.embedding.weight.T
        torch.testing.assert_close(own(source, target), expected, rtol=1e-4, atol=1e-5)


def copy_layer(theirs: nn.Module, block: nn.Module) -> None:
    """Self-attention and the two linear layers, which PyTorch keeps under other names."""
    theirs.self_attn.in_proj_weight.data = torch.cat([block.attention.query.weight, block.attention.key_value.weight])
    theirs.self_attn.in_proj_bias.data = torch.cat([block.attention.query.bias, block.attention.key_value.bias])
    theirs.self_attn.out_proj, theirs.linear1, theirs.linear2 = block.attention.output, block.expand, block.contract


def test_sinusoids_by_hand() -> None:
    table = sinusoids(50, 6)
    for place in (0, 1, 49):
        for i in range(3):
            angle = place / 10_000 ** (2 * i / 6)
            assert float(table[place, 2 * i]) == pytest.approx(math.sin(angle), abs=1e-5)
            assert float(table[place, 2 * i + 1]) == pytest.approx(math.cos(angle), abs=1e-5)
    assert sinusoids(4, 5).shape == (4, 5)


@pytest.mark.parametrize("kind", ["learned", "sinusoidal", "none"])
def test_positions_are_added_from_where_the_text_begins(kind: str) -> None:
    positions = Positions(kind, 10, 6)
    x = torch.randn(2, 4, 6)
    torch.testing.assert_close(positions(x, 3), x + (0 if kind == "none" else positions.table[3:7]))


def test_without_positions_the_output_permutes_with_the_input() -> None:
    """S42: "fed in all at once" - and with positions it does not."""
    order = torch.randperm(9, generator=torch.Generator().manual_seed(2))
    x = torch.arange(9)[None] % 7
    for kind in ("none", "learned", "sinusoidal"):
        net = make("sequence_transformer", position=kind, pooling="mean").double()

        def vectors(tokens: Tensor, net: nn.Module = net) -> Tensor:
            h, _ = net.begin(tokens, None)
            for block in net.blocks:
                h = block(h)
            return h

        with torch.no_grad():
            same = torch.allclose(vectors(x[:, order]), vectors(x)[:, order], rtol=0, atol=1e-12)
            assert same == (kind == "none")
            assert torch.allclose(net(x[:, order]), net(x), rtol=0, atol=1e-12) == (kind == "none")


@BOTH
@NORMS
@pytest.mark.parametrize("position", ["learned", "sinusoidal", "none"])
def test_cached_and_uncached_logits_are_equal(implementation: str, norm: str, position: str) -> None:
    net = make("char_transformer", implementation=implementation, norm=norm, position=position).double()
    x = torch.arange(24).view(2, 12) * 5 % 8
    with torch.no_grad():
        whole, state, steps = net(x), None, []
        for part in x.split([1, 4, 1, 1, 5], 1):  # one by one and several at once
            logits, state = net.unroll(part, state)
            steps.append(logits)
    torch.testing.assert_close(torch.cat(steps, 1), whole, rtol=0, atol=1e-12)
    assert state[0].shape == (2, 4, 12, 4)


@NORMS
def test_the_translator_step_by_step_is_the_translator_at_once(norm: str) -> None:
    net = make("transformer", norm=norm).double()
    source, target = sentences()
    with torch.no_grad():
        whole, state, steps = net(source, target), net.start(source), []
        for token in target.unbind(1):
            logits, state = net.step(token, state)
            steps.append(logits)
        torch.testing.assert_close(torch.stack(steps, 1), whole, rtol=0, atol=1e-12)
        torch.testing.assert_close(net(source), whole[:, :1], rtol=0, atol=1e-12)  # BEGIN alone


@BOTH
def test_no_character_sees_a_later_one_and_every_one_sees_itself(implementation: str) -> None:
    net = make("char_transformer", implementation=implementation).double()
    x = torch.arange(12) % 8
    with torch.no_grad():
        for place in range(12):
            other = x.clone()
            other[place] = (x[place] + 1) % 8
            changed = (net(x[None]) != net(other[None])).any(2)[0]  # (T,)
            assert changed.tolist() == [t >= place for t in range(12)]


def test_padding_changes_nothing() -> None:
    source, target = sentences()
    net = make("transformer").double()
    wider = F.pad(source, (0, 5), value=PADDING)
    with torch.no_grad():
        torch.testing.assert_close(net(wider, target), net(source, target), rtol=0, atol=1e-12)
        short = net(source[2:, :5], target[2:])  # the last source has five tokens
        torch.testing.assert_close(net(source, target)[2:], short, rtol=0, atol=1e-12)
        losses = [net.loss((source, part))["loss"] for part in (target, F.pad(target, (0, 3), value=PADDING))]
        torch.testing.assert_close(*losses)
    for pooling in ("last", "mean", "max"):
        net = make("sequence_transformer", pooling=pooling).double()
        x, lengths = torch.randint(7, (3, 12)), torch.tensor([12, 5, 1])
        changed = x.masked_fill(torch.arange(12) >= lengths[:, None], 6)
        with torch.no_grad():
            torch.testing.assert_close(net(x, lengths), net(changed, lengths), rtol=0, atol=1e-12)
            torch.testing.assert_close(net(x, lengths)[1:2], net(x[1:2, :5]), rtol=0, atol=1e-12)


@NORMS
def test_maps_are_the_weights_that_the_network_uses(norm: str) -> None:
    """What each attention is asked in a forward pass gives the same weights as the maps."""
    source, target = sentences()
    text, lengths = torch.arange(24).view(2, 12) % 7, torch.tensor([12, 5])
    for name, inputs, expected in (
        ("char_transformer", (text,), lambda net: [block.attention for block in net.blocks]),
        ("sequence_transformer", (text, lengths), lambda net: [block.attention for block in net.blocks]),
        ("transformer", (source, target), lambda net: [block.memory_attention for block in net.decoder]),
    ):
        net = make(name, norm=norm, position="learned")
        calls: list[tuple[MultiHeadAttention, Any]] = []
        for layer in expected(net):
            layer.register_forward_hook(lambda layer, given, _, calls=calls: calls.append((layer, given)))
        with torch.no_grad():
            net(*inputs)
            asked = [used_weights(layer, *given) for layer, given in calls]
            maps = net.attention_maps(*inputs)
        assert len(maps) == len(asked) >= 2
        for shown, used in zip(maps, asked, strict=True):
            torch.testing.assert_close(shown, used)
            torch.testing.assert_close(shown.sum(-1), torch.ones(shown.shape[:-1]))
    hidden = (source == PADDING)[:, None, None]
    assert (maps[1].masked_select(hidden.expand_as(maps[1])) == 0).all()


def used_weights(
    layer: MultiHeadAttention, x: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None, causal: bool = False
) -> Tensor:
    """Of one call, by PyTorch: the values are replaced by unit vectors, so that the answers are the weights."""
    units = torch.eye(keys.shape[2]).expand(*keys.shape[:2], -1, -1)
    q = layer.heads(layer.query(x))
    return F.scaled_dot_product_attention(q, keys, units, mask, is_causal=causal)


def test_a_text_longer_than_the_context_is_read_in_windows() -> None:
    net = make("char_transformer")
    text = torch.randint(8, (30,))
    x, targets = text[None, :-1], text[None, 1:]  # 29 characters: windows of 12, 12 and 5
    with torch.no_grad():
        result = net.loss((x, targets))
        parts = [net.loss((x[:, a:b], targets[:, a:b])) for a, b in ((0, 12), (12, 24), (24, 29))]
    for name in ("loss", "acc"):
        expected = sum(part[name] * n for part, n in zip(parts, (12, 12, 5), strict=True)) / 29
        torch.testing.assert_close(result[name], expected)


@pytest.mark.parametrize("length", [5, 64, 200, 256, 300, 2000])
def test_validation_and_test_come_in_whole_contexts(length: int) -> None:
    """Or a character would be predicted from less than half a context on average."""
    data = build("data", "pydoc", {"sequence_length": length, "batch_size": 1})
    data.load()
    for part in ("val", "test"):
        windows = data.batches(part)
        longest = (len(data.test[0]) - 1) // windows.batch_size
        assert windows.sequence_length % length == 0 or windows.sequence_length == longest


def test_writing_goes_on_where_the_context_is_full() -> None:
    """The latest half of the context is read anew: what is drawn is what a network without a cache would draw."""
    net = make("char_transformer")
    text = "abcdefghabcdefgh"  # longer than the context of 12
    written = "".join(net.generate(text, 20, temperature=0))
    held = text[-6:]
    for character in written:
        with torch.no_grad():
            logits = net(net.encode(held)[None])[0, -1]
        assert net.vocabulary[int(logits.argmax())] == character
        held += character
        if len(held) > 12:
            held = held[-6:]


@pytest.mark.parametrize("name", ["char_transformer", "transformer"])
def test_too_long_is_said(name: str) -> None:
    net = make(name, context_length=12)
    with pytest.raises(ValueError, match="12 (characters|tokens) at most, got 13"):
        net(torch.full((2, 13), 4))
    with pytest.raises(ValueError, match="looks at 12 steps at most, got 13"):
        make("sequence_transformer")(torch.zeros(2, 13, dtype=torch.int64))


@pytest.mark.parametrize("beam_size", [1, 3])
def test_a_translation_is_no_longer_than_the_context(beam_size: int) -> None:
    net = make("transformer", context_length=12)
    found = net.translate(torch.randint(4, 20, (5, 12)), beam_size)  # twice the source and ten would be 34
    assert max(len(tokens) for tokens in found) == 11


def test_a_cache_writes_faster() -> None:
    """Five times at 512 characters is measured by tests/benchmarks/cache.py; here that it does help."""
    net = make("char_transformer", context_length=256, hidden_size=64)

    def seconds(cached: bool) -> float:
        started = time.perf_counter()
        text, state = torch.zeros(1, 1, dtype=torch.int64), None
        with torch.no_grad():
            for _ in range(200):
                logits, state = net.unroll(text[:, -1:] if cached else text, state if cached else None)
                text = torch.cat([text, logits[:, -1:].argmax(2)], 1)
        return time.perf_counter() - started

    assert seconds(cached=True) < seconds(cached=False)


@BOTH
def test_attention_dropout_drops_weights_while_training_only(implementation: str) -> None:
    layer = MultiHeadAttention(16, 4, dropout=0.5, implementation=implementation)
    plain = MultiHeadAttention(16, 4, implementation=implementation)
    plain.load_state_dict(layer.state_dict())
    x = torch.randn(1, 6, 16)
    keys, values = layer.keys_values(x)
    with torch.no_grad():
        expected = plain(x, keys, values)
        draws = torch.stack([layer(x, keys, values) for _ in range(4000)])
        assert not torch.equal(draws[0], draws[1])
        torch.testing.assert_close(draws.mean(0), expected, rtol=0, atol=0.03)
        assert torch.equal(layer.eval()(x, keys, values), expected)


@pytest.mark.parametrize("name", ["char_transformer", "sequence_transformer", "transformer"])
def test_dropout_is_where_2017_has_it(name: str) -> None:
    """On the embeddings and on what each sublayer adds."""
    net = make(name, dropout=0.5)
    sublayers = 5 if name == "transformer" else 2  # encoder: 2, decoder: 3
    layers = 2 if name != "char_transformer" else 4
    embeddings = {"char_transformer": 1, "sequence_transformer": 2, "transformer": 2}[name]  # and before the answer
    drawn = []
    for layer in net.modules():
        if isinstance(layer, Dropout) and layer.p:
            layer.register_forward_hook(lambda layer, given, out: drawn.append(bool((out == 0).any())))
    net.train()(*(sentences() if name == "transformer" else (torch.arange(12)[None] % 7,)))
    assert drawn == [True] * (layers * sublayers + embeddings)


def test_labels_are_smoothed_while_training_only() -> None:
    source, target = sentences()
    net = make("transformer", label_smoothing=0.3, dropout=0.0)
    with torch.no_grad():
        logits = net(source, target[:, :-1]).flatten(0, 1)
        for training, smoothing in ((True, 0.3), (False, 0.0)):
            expected = F.cross_entropy(logits, target[:, 1:].flatten(), ignore_index=PADDING, label_smoothing=smoothing)
            torch.testing.assert_close(net.train(training).loss((source, target))["loss"], expected)


def test_weights_start_small_and_sums_smaller() -> None:
    net = make("char_transformer", hidden_size=256, position="sinusoidal")
    for name, parameter in net.named_parameters():
        if parameter.dim() == 2:
            is_added = name.endswith(("attention.output.weight", "contract.weight"))
            expected = 0.02 / math.sqrt(8) if is_added else 0.02
            assert float(parameter.detach().std()) == pytest.approx(expected, rel=0.1), name
    for name in ("char_transformer", "sequence_transformer", "transformer"):
        for position in ("learned", "sinusoidal"):  # places neither drown what stands there nor are lost beside it
            net = make(name, position=position, hidden_size=64)
            places = net.positions.table.detach().std()
            scale = 8 if name == "transformer" else 1
            assert 0.5 < float(places / (scale * net.embedding.weight.detach().std())) < 2


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        ([5, 6, 3], None, r"source must be \(B, S\) tokens, got \(3,\)"),
        ([[5, 3], [0, 0]], None, "every source sentence must hold a token, number 1 is all PADDING"),
        ([[5, 3]], [[2], [2]], r"target must be \(1, T\) tokens, got \(2, 1\)"),
    ],
)
@pytest.mark.parametrize("name", ["transformer", "seq2seq"])
def test_what_is_no_pair_of_sentences_is_refused(name: str, source: Any, target: Any, words: str) -> None:
    net = zoo.create(name, vocab_size=20)
    with pytest.raises(ValueError, match=words):
        net(torch.tensor(source), None if target is None else torch.tensor(target))


@pytest.mark.parametrize("p", [0.1, 0.2, 0.5])
def test_dropout_drops_its_share_and_keeps_the_mean(p: float) -> None:
    torch.manual_seed(0)
    x, drop = torch.ones(1000, 1001), Dropout(p)
    y = drop(x)
    share = float((y == 0).float().mean())
    assert share == pytest.approx(round(p * 256) / 256, abs=0.002) and share == pytest.approx(p, abs=0.004)
    assert float(y.mean()) == pytest.approx(1.0, abs=0.002)
    assert len(y.unique()) == 2
    neighbours = ((y[:, 1:] == 0) & (y[:, :-1] == 0)).float().mean()
    assert float(neighbours) == pytest.approx(share**2, abs=0.002)  # independent of each other
    torch.manual_seed(0)
    assert torch.equal(y, drop(x))  # drawn from torch's generator
    assert drop(x.bfloat16()).dtype == torch.bfloat16
    assert drop.eval()(x) is x


def test_dropout_of_nearly_all() -> None:
    y = Dropout(0.999)(torch.ones(10_000))
    assert float((y == 0).float().mean()) == pytest.approx(255 / 256, abs=0.005)


def test_dropout_passes_the_gradient_of_what_is_kept() -> None:
    x = torch.ones(100, requires_grad=True)
    y = Dropout(0.5)(x)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())

"""Attention against PyTorch's own and against numbers by hand; caches, masks and positions; what the networks learn."""

import math
import time
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import zoo
from zoo.models.attention import MultiHeadAttention, Positions, attention, causal_mask, sinusoids
from zoo.models.decoding import BEGIN, END, PADDING
from zoo.models.dropout import Dropout

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
    answer, weights = attention(q, k, v)
    e = math.e
    torch.testing.assert_close(weights.flatten(), torch.tensor([e / (e + 1), 1 / (e + 1)]))
    torch.testing.assert_close(answer.flatten(), torch.tensor([e / (e + 1), 0, 0, 1 / (e + 1)]))


@pytest.mark.parametrize("masked", [False, True])
def test_attention_is_what_pytorch_computes(masked: bool) -> None:
    q, k, v = torch.randn(3, 2, 4, 5, 8).double()
    mask = causal_mask(5, 5, q.device) if masked else None
    answer, weights = attention(q, k, v, mask)
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


def test_the_base_model_of_2017_has_65_million_parameters() -> None:
    """Table 3: 6 + 6 layers, D = 512, 2048 between, one vocabulary of about 37,000 tokens."""
    with torch.device("meta"):
        net = zoo.create("transformer", vocab_size=37_000, hidden_size=512, num_heads=8, num_layers=6)
    assert sum(p.numel() for p in net.parameters()) == pytest.approx(65e6, rel=0.03)


@NORMS
@BOTH
def test_an_encoder_is_what_pytorch_computes(norm: str, implementation: str) -> None:
    own = make("sequence_transformer", norm=norm, implementation=implementation, position="none", num_layers=1)
    theirs = nn.TransformerEncoderLayer(16, 4, 64, 0.0, F.gelu, batch_first=True, norm_first=norm == "pre").eval()
    copy_layer(theirs, own.blocks[0])
    theirs.norm1, theirs.norm2 = own.blocks[0].norm1, own.blocks[0].norm3
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
    theirs.norm1, theirs.norm2, theirs.norm3 = block.norm1, block.norm2, block.norm3
    theirs.multihead_attn.in_proj_weight.data = torch.cat(
        [block.memory_attention.query.weight, block.memory_attention.key_value.weight]
    )
    theirs.multihead_attn.in_proj_bias.data.zero_()
    theirs.multihead_attn.out_proj = block.memory_attention.output
    source, target = sentences()
    with torch.no_grad():
        hidden = source == PADDING
        h = own.embed(source)
        for layer in own.encoder:
            h = layer.feed_forward(layer.attend(h, ~hidden[:, None, None])[0])
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
                h = block.feed_forward(block.attend(h, None)[0])
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


def test_no_character_sees_a_later_one_and_every_one_sees_itself() -> None:
    net = make("char_transformer").double()
    vectors = net.embedding(torch.arange(12)[None] % 8).detach().requires_grad_()
    h = net.positions(vectors)
    for block in net.blocks:
        h = block.feed_forward(block.attend(h, causal_mask(12, 12, h.device))[0])
    reach = torch.stack([torch.autograd.grad(h[0, t].sum(), vectors, retain_graph=True)[0][0].norm(dim=1) > 0
                         for t in range(12)])  # fmt: skip
    assert torch.equal(reach, causal_mask(12, 12, h.device))


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


def test_maps_are_the_weights_that_the_network_uses() -> None:
    source, target = sentences()
    with torch.no_grad():
        maps = make("char_transformer").attention_maps(torch.arange(12)[None] % 8)
        assert len(maps) == 4 and maps[0].shape == (1, 4, 12, 12) and (maps[0].triu(1) == 0).all()
        cross = make("transformer").attention_maps(source, target)
        assert len(cross) == 2 and cross[0].shape == (3, 4, 9, 7)
        assert (cross[1].masked_select((source == PADDING)[:, None, None].expand_as(cross[1])) == 0).all()
        net = make("sequence_transformer", norm="post")
        x = torch.arange(9)[None] % 7
        own = net.attention_maps(x)
        h, _ = net.begin(x, None)
        _, second = [block for block in net.blocks]
        h = net.blocks[0].feed_forward(net.blocks[0].attend(h, None)[0])
        _, values = second.attention.keys_values(h)
        answers = second.attention.output((own[1] @ values).transpose(1, 2).flatten(2))
        torch.testing.assert_close(second.norm1(h + answers), second.attend(h, None)[0])
    for weights in (*maps, *cross, *own):
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]))


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


def test_dropout_passes_the_gradient_of_what_is_kept() -> None:
    x = torch.ones(100, requires_grad=True)
    y = Dropout(0.5)(x)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())

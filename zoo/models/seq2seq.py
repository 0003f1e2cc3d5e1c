"""Encoder and decoder, two recurrent networks that translate; with attention or through a single vector.

Lecture: Barcelona R19 (slide 32, machine translation); the bottleneck that attention removes: Shanghai S41.
Source:  attention=none: Cho et al., Learning phrase representations using RNN encoder-decoder for statistical machine
         translation, 2014; attention=bahdanau: Bahdanau, Cho & Bengio, Neural machine translation by jointly learning
         to align and translate, 2015, appendix A.2.
Input:   source (B, S) int64 tokens, target (B, T) int64 tokens from BEGIN on; both filled up with PADDING behind.
Output:  logits (B, T, V) float32 of the token that follows each of the target's.
Result:  configs/experiment/multi30k_gru_attention.yaml.
Differs: a layer of tanh before the output, where the papers have maxout, and it sees s_t, where the appendix of 2015
         has s_(t-1); the GRU resets after the product (see zoo/models/recurrent.py); one vocabulary for both languages
         and, with tie_embeddings, one matrix, whose rows are scaled by sqrt(E) where they are read (Vaswani et al.
         2017, section 3.4); dropout; the other weights start as PyTorch's do.

encoder    h_j = [forward GRU; backward GRU] at source token j;  s_0 = tanh(Ws backward h_1)
attention  e_tj = v . tanh(W s_(t-1) + U h_j);  a_t = softmax(e_t);  c_t = sum_j a_tj h_j
decoder    s_t = GRU([y_(t-1), c_t], s_(t-1));  logits_t = Wy tanh(Wo [s_t, c_t, y_(t-1)]),  y a token's vector

With attention=none the encoder reads forward only, and all steps have the same c_t: c = tanh(Wc h_S), s_0 = tanh(Ws c).

Shapes: B batch, S source, T target, V vocabulary, E embedding, H hidden, A annotation (2H; H without attention).
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from zoo.models.decoding import BEGIN, END, PADDING, State, beam_search, check_source, check_target, translation_loss
from zoo.models.dropout import Dropout
from zoo.registry import register


@register("seq2seq")
class Seq2Seq(nn.Module):
    """A GRU reads the source, another writes the target, one token at a time, looking back at the source.

    vocab_size: V, of both languages together; its first four numbers are the special tokens of zoo/models/decoding.py.
    attention: bahdanau (the decoder looks at all tokens of the source, anew at each step) | none (all it sees of the
        source is one vector).
    hidden_size: H of either GRU, of each direction, and of the attention. embedding_dim: E.
    dropout: probability in [0, 1) that a number of a token's vector, or of the layer before the output, is set to zero
        while training.
    label_smoothing: in [0, 1), the share of the target's probability that is spread evenly over all tokens while
        training; in eval mode the loss is the plain cross-entropy.
    tie_embeddings: one matrix (V, E) for source, target and output (Press & Wolf 2017). By default, for most of the
        weights stand there: of 8.3 million at V = 8,000 it leaves 4.2; and names and numbers are the same in both
        languages.
    """

    def __init__(
        self,
        vocab_size: int,
        attention: str = "bahdanau",
        hidden_size: int = 256,
        embedding_dim: int = 256,
        dropout: float = 0.0,
        label_smoothing: float = 0.0,
        tie_embeddings: bool = True,
    ):
        super().__init__()
        if vocab_size <= END + 1:
            raise ValueError(f"vocab_size must be >= {END + 2} (four special tokens and a word), got {vocab_size}")
        if attention not in ("bahdanau", "none"):
            raise ValueError(f"attention must be one of bahdanau, none, got {attention!r}")
        for name, value in (("hidden_size", hidden_size), ("embedding_dim", embedding_dim)):
            if value < 1:
                raise ValueError(f"{name} must be >= 1, got {value}")
        for name, share in (("dropout", dropout), ("label_smoothing", label_smoothing)):
            if not 0 <= share < 1:
                raise ValueError(f"{name} must lie in [0, 1), got {share}")
        self.attention, self.label_smoothing = attention, label_smoothing
        looks_back = attention == "bahdanau"
        width = 2 * hidden_size if looks_back else hidden_size  # A

        self.drop = Dropout(dropout)
        self.source_embedding = nn.Embedding(vocab_size, embedding_dim)
        self.encoder = nn.GRU(embedding_dim, hidden_size, batch_first=True, bidirectional=looks_back)
        self.first_state = nn.Linear(hidden_size, hidden_size)  # Ws
        if looks_back:
            self.query = nn.Linear(hidden_size, hidden_size, bias=False)  # W
            self.key = nn.Linear(width, hidden_size, bias=False)  # U
            self.energy = nn.Linear(hidden_size, 1, bias=False)  # v
        else:
            self.summary = nn.Linear(hidden_size, hidden_size)  # Wc

        self.target_embedding = nn.Embedding(vocab_size, embedding_dim)
        # The decoder's GRU in three parts, as its input comes at different times: the words are known beforehand.
        self.word_gates = nn.Linear(embedding_dim, 3 * hidden_size)
        self.context_gates = nn.Linear(width, 3 * hidden_size, bias=False)
        self.state_gates = nn.Linear(hidden_size, 3 * hidden_size)
        self.readout = nn.Linear(hidden_size + width + embedding_dim, embedding_dim)  # Wo
        self.output = nn.Linear(embedding_dim, vocab_size)  # Wy
        nn.init.zeros_(self.output.bias)
        for layer in (self.source_embedding, self.target_embedding, self.output):
            nn.init.normal_(layer.weight, std=embedding_dim**-0.5)  # larger, and the output's first guesses were bold
        if tie_embeddings:
            self.output.weight = self.target_embedding.weight = self.source_embedding.weight

    @property
    def example_input(self) -> Tensor:
        """Two source sentences of three tokens."""
        return torch.full((2, 3), END + 1)

    def forward(self, source: Tensor, target: Tensor | None = None) -> Tensor:
        """Logits (B, T, V) of the token after each of target (B, T), which begins with BEGIN; None: that alone, T = 1.

        Raises ValueError if source is not (B, S), target not (B, T), or a source sentence is empty.
        """
        state = self.start(source)
        if target is None:
            target = source.new_full((len(source), 1), BEGIN)
        check_target(target, source)
        return self.output(self.decode(target, state)[0])

    def loss(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """Mean nats per target token, and accuracy, of (source (B, S), target (B, T + 1)): BEGIN ... END, PADDING."""
        source, target = batch
        latest, following = target[:, :-1], target[:, 1:]  # (B, T) both
        features, _, _ = self.decode(latest, self.start(source))
        counts = following != PADDING
        logits = self.output(features[counts])  # (N, V): the largest product by far is spared what does not count
        return translation_loss(logits, following[counts], self.label_smoothing if self.training else 0.0)

    def start(self, source: Tensor) -> State:
        """What the decoder needs of source (B, S): s_0 (B, H) first, and then what it looks at.

        With attention U h (B, S, H), h (B, S, A) and where PADDING stands (B, S), else c (B, A).
        """
        check_source(source)
        padding = source == PADDING
        lengths = (~padding).sum(1).cpu()
        vectors = self.embed(source, self.source_embedding)  # (B, S, E)
        packed = pack_padded_sequence(vectors, lengths, batch_first=True, enforce_sorted=False)
        outputs, ends = self.encoder(packed)  # ends: (1 or 2, B, H), after the last token and, backward, the first
        if self.attention == "none":
            context = torch.tanh(self.summary(ends[0]))  # (B, A)
            return torch.tanh(self.first_state(context)), context
        memory, _ = pad_packed_sequence(outputs, batch_first=True, total_length=source.shape[1])  # (B, S, A)
        keys = self.key(memory)
        memory = memory.to(keys.dtype)  # under autocast, which would do it again at each step
        return torch.tanh(self.first_state(ends[1])), keys, memory, padding

    def embed(self, tokens: Tensor, embedding: nn.Embedding) -> Tensor:
        """Vectors (B, T, E) of tokens (B, T), of variance 1 at the start; smaller ones learn several times slower."""
        return self.drop(embedding(tokens) * math.sqrt(embedding.embedding_dim))

    def step(self, latest: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits (R, V) of the token after `latest` (R,), and the state to go on with."""
        features, state, _ = self.decode(latest[:, None], state)
        return self.output(features[:, 0]), state

    def decode(self, target: Tensor, state: State) -> tuple[Tensor, State, list[Tensor]]:
        """For target (B, T): what the output layer sees (B, T, E), the state after it, and a_t, T tensors (B, S)."""
        s, *looked_at = state
        vectors = self.embed(target, self.target_embedding)  # (B, T, E)
        states, contexts, weights = [], [], []
        if self.attention == "none":
            context = looked_at[0]
            of_context = self.context_gates(context)  # (B, 3H)
        for of_word in self.word_gates(vectors).unbind(1):  # (B, 3H)
            if self.attention == "bahdanau":
                context, a = self.attend(s, *looked_at)
                of_context = self.context_gates(context)
                weights.append(a)
            s = gru_update(of_word + of_context, self.state_gates(s), s)
            states.append(s)
            contexts.append(context)
        seen = torch.cat([torch.stack(states, 1), torch.stack(contexts, 1), vectors], 2)  # (B, T, H + A + E)
        return self.drop(torch.tanh(self.readout(seen))), (s, *looked_at), weights

    def attend(self, s: Tensor, keys: Tensor, memory: Tensor, padding: Tensor) -> tuple[Tensor, Tensor]:
        """c_t (B, A) and a_t (B, S), from s_(t-1) (B, H)."""
        energies = self.energy(torch.tanh(self.query(s)[:, None] + keys))[:, :, 0]  # (B, S, H) -> (B, S)
        a = energies.masked_fill(padding, -torch.inf).softmax(1)
        return torch.bmm(a[:, None], memory)[:, 0], a

    def translate(
        self, source: Tensor, beam_size: int = 1, max_length: int | None = None, length_penalty: float = 1.0
    ) -> list[Tensor]:
        """The translations found of source (B, S): B tensors (T,) int64 on the CPU, see `beam_search`; in eval mode."""
        return beam_search(self, source.to(self.output.weight.device), beam_size, max_length, length_penalty)

    def attention_maps(self, source: Tensor, target: Tensor) -> list[Tensor]:
        """How much is looked at which source token for the token after each of target (B, T): [a (B, 1, T, S)].

        The form is the Transformer's: one tensor per layer, here with one head; none with attention=none.
        """
        weights = self.decode(target, self.start(source))[2]
        return [torch.stack(weights, 1)[:, None]] if weights else []


def gru_update(x: Tensor, h: Tensor, s: Tensor) -> Tensor:
    """The GRU's next state (B, H): x (B, 3H) = its inputs' share of reset gate, update gate and news, h that of s."""
    xr, xz, xn = x.chunk(3, 1)  # (B, H) each
    hr, hz, hn = h.chunk(3, 1)
    r, z = torch.sigmoid(xr + hr), torch.sigmoid(xz + hz)
    n = torch.tanh(xn + r * hn)
    return (1 - z) * n + z * s

"""What language models of characters have in common: from text to numbers and back, and writing on."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn


class CharacterModel(nn.Module):
    """Base of the networks that predict the next character.

    A subclass gives `unroll(x, state) -> (logits (B, T, V), state)`, where the state holds all that the characters
    after x (B, T) need to know of those up to it; None: nothing has been read yet.

    vocabulary: the V characters that it knows, in the order of their numbers.
    context_length: how far back it can look; None: without limit.
    """

    vocabulary: str
    context_length: int | None = None

    @staticmethod
    def check_vocabulary(vocabulary: str) -> None:
        """Raises ValueError."""
        if len(vocabulary) < 2 or len(set(vocabulary)) < len(vocabulary):
            raise ValueError(f"vocabulary must hold two or more characters, each once, got {vocabulary!r}")

    def encode(self, text: str) -> Tensor:
        """Numbers (T,) int64 of the characters. Raises ValueError naming those that the vocabulary lacks."""
        numbers = {character: i for i, character in enumerate(self.vocabulary)}
        if unknown := sorted(set(text) - set(numbers)):
            raise ValueError(f"the vocabulary lacks {', '.join(map(repr, unknown))}; it has {self.vocabulary!r}")
        return torch.tensor([numbers[character] for character in text], dtype=torch.int64)

    def decode(self, numbers: Tensor) -> str:
        """The characters of numbers (T,)."""
        return "".join(self.vocabulary[i] for i in numbers.tolist())

    def generate(
        self,
        prompt: str,
        length: int = 400,
        temperature: float = 1.0,
        top_k: int | None = None,
        generator: torch.Generator | None = None,
    ) -> Iterator[str]:
        """Characters that may follow the prompt, one by one as they are drawn; in eval mode without dropout.

        length: how many. temperature: >= 0; logits are divided by it, 0 always takes the likeliest.
        top_k: draw among the k likeliest only. generator: of the CPU, for draws that can be repeated.
        Raises ValueError, at the call, for a prompt that is empty or holds unknown characters, and values out of range.
        """
        if not prompt:
            raise ValueError("prompt must hold at least one character")
        numbers = self.sample(self.encode(prompt)[None], length, temperature, top_k, generator)
        return (self.vocabulary[int(number)] for number in numbers)

    def sample(
        self,
        x: Tensor,
        length: int,
        temperature: float = 1.0,
        top_k: int | None = None,
        generator: torch.Generator | None = None,
    ) -> Iterator[Tensor]:
        """The same for B prompts x (B, T) of numbers: `length` tensors (B,) int64, each drawn when it is asked for.

        Where the context is full, the network reads its latest half anew and goes on from there.
        """
        if length < 0 or not 0 <= temperature < math.inf or not (top_k is None or top_k >= 1):
            rule = "length must be >= 0, temperature a finite number >= 0, top_k >= 1 or None"
            raise ValueError(f"{rule}, got length={length}, temperature={temperature}, top_k={top_k}")
        x = x.to(next(self.parameters()).device)

        def draw() -> Iterator[Tensor]:
            text = latest = x
            state, held, limit = None, 0, self.context_length or math.inf
            for _ in range(length):
                if held + latest.shape[1] > limit:
                    latest, state, held = text[:, -max(1, limit // 2) :], None, 0
                with torch.no_grad():
                    logits, state = self.unroll(latest, state)
                held += latest.shape[1]
                logits = logits[:, -1].float().cpu()  # (B, V), after the last character; drawn alike on any device
                if top_k is not None and top_k < logits.shape[1]:
                    logits = logits.masked_fill(logits < logits.topk(top_k).values[:, -1:], -torch.inf)
                if temperature == 0:
                    drawn = logits.argmax(1, keepdim=True)
                else:
                    drawn = torch.multinomial((logits / temperature).softmax(1), 1, generator=generator)
                yield drawn[:, 0]
                latest = drawn.to(x.device)  # (B, 1)
                text = torch.cat([text, latest], 1)

        return draw()

"""Huffman's tree over words: common words lie near its root, so that few yes-or-no questions lead to them.

Source: Huffman, A method for the construction of minimum-redundancy codes, 1952; as the output layer of a network:
Morin & Bengio, Hierarchical probabilistic neural network language model, 2005.

Shapes: V words, P the longest path.
"""

import heapq

import torch
from torch import Tensor


def huffman_paths(counts: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    """The way from the root to each of V >= 2 words.

    Gives the inner nodes passed (V, P) int64, numbered 0 .. V - 2; the turns taken there (V, P) float32, 0 or 1; and
    whether the path is that long (V, P) bool.
    """
    size = len(counts)
    heap = [(count, number) for number, count in enumerate(counts)]  # words, then inner nodes from number V on
    heapq.heapify(heap)
    parent, turn = [0] * (2 * size - 1), [0] * (2 * size - 1)
    for node in range(size, 2 * size - 1):  # the two rarest become one
        (first, a), (second, b) = heapq.heappop(heap), heapq.heappop(heap)
        parent[a] = parent[b] = node
        turn[b] = 1
        heapq.heappush(heap, (first + second, node))
    paths = []
    for number in range(size):
        path = []
        while number != 2 * size - 2:  # the root
            path.append((parent[number] - size, turn[number]))
            number = parent[number]
        paths.append(path[::-1])
    longest = max(map(len, paths))
    padded = torch.tensor([path + [(0, 0)] * (longest - len(path)) for path in paths])  # (V, P, 2)
    valid = torch.arange(longest) < torch.tensor([[len(path)] for path in paths])
    return padded[..., 0], padded[..., 1].float(), valid

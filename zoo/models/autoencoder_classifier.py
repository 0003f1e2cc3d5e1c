"""A deep classifier whose hidden layers were trained first as autoencoders, one by one, without a label.

Lecture: Prague C23 (a classifier on the encoder, trained and fine-tuned), C22 (one layer at a time); C18 (without that,
         says the lecture, the first of several sigmoid layers hardly learn).
Source:  Bengio et al., Greedy layer-wise training of deep networks, NIPS 2006; Vincent et al., Stacked denoising
         autoencoders, JMLR 2010, whose network on MNIST has three sigmoid layers of 1,000 too.
Input:   x (B, ...) float32, flattened to (B, D); in [0, 1] where cross-entropy is to reconstruct it.
Output:  logits (B, K) float32.
Result:  configs/experiment/mnist_sda.yaml, mnist_sda_control.yaml, digits_sda.yaml.
Differs: 2010 fine-tuned without dropout, which was not known then; `dropout: 0` does as they did.

Shapes: B batch, D features, H hidden, L layers, K classes.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from zoo.models.autoencoder import Stack
from zoo.models.classifier import Classifier
from zoo.models.dropout import Dropout
from zoo.models.phases import Phase
from zoo.registry import register


@register("autoencoder_classifier")
class AutoencoderClassifier(Stack, Classifier):
    """D - H_1 - ... - H_L - K: its hidden layers are first trained as autoencoders, one by one, without labels.

    in_features: D, size of an item when flattened.
    num_classes: K >= 2.
    hidden_sizes: H_1 ... H_L.
    activation: of the hidden layers, sigmoid | tanh | relu | linear.
    tied: whether a decoder uses the transpose of its encoder's weight.
    reconstruction: squared_error | cross_entropy, the loss of a layer's own training.
    corruption: none | masking | salt_and_pepper | gaussian, of its input.
    corruption_levels: one number, or one per layer; what they mean says `corrupt`.
    target: what an inner layer has to reconstruct: code | input, as in `Autoencoder`.
    pretraining_epochs: of each layer; 0: none, and the network is a multi-layer perceptron.
    dropout: probability in [0, 1) that a hidden activation is set to zero in fine-tuning.
    input_dropout: the same of an input.
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        hidden_sizes: list[int] = [1000, 1000, 1000],  # noqa: B006
        activation: str = "sigmoid",
        tied: bool = True,
        reconstruction: str = "cross_entropy",
        corruption: str = "masking",
        corruption_levels: list[float] = [0.25],  # noqa: B006
        target: str = "code",
        pretraining_epochs: int = 2,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
    ):
        if num_classes < 2:
            raise ValueError(f"num_classes must be >= 2, got {num_classes}")
        for name, value in (("dropout", dropout), ("input_dropout", input_dropout)):
            if not 0 <= value < 1:
                raise ValueError(f"{name} must lie in [0, 1), got {value}")
        super().__init__(
            in_features, hidden_sizes, activation, code_activation=activation, tied=tied, reconstruction=reconstruction,
            corruption=corruption, corruption_levels=corruption_levels, target=target,
            pretraining_epochs=pretraining_epochs,
        )  # fmt: skip
        if not pretraining_epochs:
            self.decoders = nn.ModuleList()  # nothing would ever be decoded
        self.dropout, self.input_dropout = Dropout(dropout), Dropout(input_dropout)
        self.output = nn.Linear(hidden_sizes[-1], num_classes)

    @property
    def phases(self) -> list[Phase]:
        """Each layer alone, then the classifier with all encoders; the decoders have served."""
        return [*self.layer_phases, Phase("fine-tuning", (self.encoders, self.output))]

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, K) of x (B, ...)."""
        h = self.input_dropout(self.flat(x))
        for encoder, g in zip(self.encoders, self.activations[1:], strict=True):
            h = self.dropout(g(encoder(h)))  # (B, H)
        return self.output(h)  # (B, K)

    def loss(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """Of the present phase: a layer's, or cross-entropy in nats and accuracy; the targets (B,) are int64."""
        x, targets = batch
        if self.phase < len(self.layer_phases):
            return self.layer_loss(x, self.phase)
        logits = self(x)
        return {"loss": F.cross_entropy(logits, targets), "acc": (logits.argmax(1) == targets).float().mean()}

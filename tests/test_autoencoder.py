"""Autoencoders against formulas and PCA; training in phases: what is frozen, what is seen, where it starts afresh."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import zoo
from zoo.autoencoder_figures import as_after
from zoo.checkpoint import read_checkpoint
from zoo.data.dataset import Batches
from zoo.errors import CheckpointError, ConfigError
from zoo.models.autoencoder import CORRUPTIONS, corrupt
from zoo.models.phases import Phase, some_of_each_class
from zoo.optimizers import SGD
from zoo.phases import Plan
from zoo.registry import build, load_all

Train = Callable[..., dict[str, Any]]


def stack(**given: Any) -> torch.nn.Module:
    return zoo.create("autoencoder", **({"in_features": 6, "hidden_sizes": [5, 4, 3]} | given))


# --- the networks -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tied", [True, False])
def test_reconstruction_is_that_of_the_formula(tied: bool) -> None:
    net = stack(tied=tied, activation="tanh", code_activation="linear", output_activation="sigmoid")
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter)
    x = torch.rand(7, 6)
    a, b, c = net.encoders
    back = [
        layer.weight.T if tied else decoder.weight for layer, decoder in zip(net.encoders, net.decoders, strict=True)
    ]
    code = torch.tanh(torch.tanh(x @ a.weight.T + a.bias) @ b.weight.T + b.bias) @ c.weight.T + c.bias
    torch.testing.assert_close(net.encode(x), code)
    h2 = torch.tanh(code @ back[2].T + net.decoders[2].bias)
    h1 = torch.tanh(h2 @ back[1].T + net.decoders[1].bias)
    r = torch.sigmoid(h1 @ back[0].T + net.decoders[0].bias)
    torch.testing.assert_close(net(x), r)
    torch.testing.assert_close(net.loss((x,))["loss"], ((r - x) ** 2).sum() / 7)
    assert (net.decoders[0].weight is None) == tied


@pytest.mark.parametrize("reconstruction", ["squared_error", "cross_entropy"])
@pytest.mark.parametrize("target", ["code", "input"])
def test_a_layer_reconstructs_its_code_or_through_the_frozen_decoders_the_input(
    target: str, reconstruction: str
) -> None:
    net = stack(target=target, reconstruction=reconstruction)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter)
    x = torch.rand(7, 6)
    net.phase = 1
    a, b = net.encoders[:2]
    h = torch.sigmoid(x @ a.weight.T + a.bias)
    r, wanted = torch.sigmoid(torch.sigmoid(b(h)) @ b.weight + net.decoders[1].bias), h
    if target == "input":
        r, wanted = torch.sigmoid(r @ a.weight + net.decoders[0].bias), x
    error = (r - wanted) ** 2 if reconstruction == "squared_error" else -wanted * r.log() - (1 - wanted) * (1 - r).log()
    torch.testing.assert_close(net.loss((x,))["loss"], error.sum() / 7)
    through = torch.sigmoid(torch.sigmoid(b(h)) @ b.weight + net.decoders[1].bias) @ a.weight + net.decoders[0].bias
    through = torch.sigmoid(through)
    torch.testing.assert_close(net.eval().loss((x,))["squared_error"], ((through - x) ** 2).sum() / 7)


def test_through_a_frozen_decoder_the_gradient_shrinks() -> None:
    """What the lecture draws (C22) still multiplies by the derivatives of the outer layers."""
    norms = {}
    for target in ("code", "input"):
        torch.manual_seed(0)
        net = stack(target=target, hidden_sizes=[6, 6, 6, 6, 6], activation="sigmoid")
        net.phase = 4
        net.loss((torch.rand(50, 6),))["loss"].backward()
        norms[target] = float(net.encoders[4].weight.grad.norm())
    assert norms["input"] < norms["code"] / 10


def test_an_untied_decoder_starts_as_if_it_were_tied() -> None:
    x = torch.rand(4, 6)
    outputs = []
    for tied in (True, False):
        torch.manual_seed(0)
        outputs.append(stack(tied=tied)(x))
    torch.testing.assert_close(*outputs)


def test_corruption_does_what_its_name_says() -> None:
    x = 0.2 + 0.6 * torch.rand(1000, 100)  # never 0 or 1
    masked, peppered, noisy = (corrupt(x, kind, 0.3) for kind in ("masking", "salt_and_pepper", "gaussian"))
    assert float((masked == 0).float().mean()) == pytest.approx(0.3, abs=0.01)
    assert torch.equal(masked[masked != 0], x[masked != 0])
    for value in (0, 1):
        assert float((peppered == value).float().mean()) == pytest.approx(0.15, abs=0.01)
    untouched = (peppered != 0) & (peppered != 1)
    assert torch.equal(peppered[untouched], x[untouched])
    assert float((noisy - x).std()) == pytest.approx(0.3, abs=0.01)
    for kind in CORRUPTIONS:
        assert torch.equal(corrupt(x, kind, 0.0), x)


def test_inputs_are_corrupted_in_training_only_and_what_is_wanted_never() -> None:
    net = stack(corruption="masking", corruption_levels=[0.5, 0.0, 0.0]).requires_grad_(False)
    x = torch.rand(500, 6)
    net.phase = 0
    clean = float(net.eval().loss((x,))["loss"])
    assert float(net.eval().loss((x,))["loss"]) == clean
    net.train()
    damaged = {float(net.loss((x,))["loss"]) for _ in range(3)}
    assert len(damaged) == 3 and clean not in damaged
    net.phase = 1  # whose level is 0
    assert len({float(net.loss((x,))["loss"]) for _ in range(3)}) == 1


def test_the_best_linear_autoencoder_is_pca() -> None:
    """With principal components for weights the probe finds PCA's error, which is scikit-learn's."""
    from sklearn.decomposition import PCA

    data = build("data", "digits", {"image_size": 8, "standardise": False})
    data.load()
    train, test = (part[0].flatten(1).numpy() for part in (data.train, data.test))
    net = zoo.create(
        "autoencoder", in_features=64, hidden_sizes=[7], code_activation="linear", output_activation="linear"
    )
    pca = PCA(7, svd_solver="full").fit(train)
    with torch.no_grad():
        net.encoders[0].weight.copy_(torch.tensor(pca.components_))
        net.encoders[0].bias.copy_(torch.tensor(-pca.components_ @ pca.mean_))
        net.decoders[0].bias.copy_(torch.tensor(pca.mean_))
    found = data.probe(net.eval())
    error = ((pca.inverse_transform(pca.transform(test)) - test) ** 2).sum() / len(test)
    assert found["pca_squared_error"] == pytest.approx(error, rel=1e-5)
    assert found["share_of_pca"] == pytest.approx(1, abs=1e-5)


def test_numbers_that_are_no_probabilities_are_refused_where_they_have_to_be() -> None:
    x = torch.tensor([[0.5, -1, 2, 0, 0, 0]])
    with pytest.raises(ValueError, match=r"numbers in \[0, 1\], got -1 to 2; of pictures data.standardise=false"):
        stack(reconstruction="cross_entropy").check(x)
    stack().check(x)
    classifier = {"in_features": 6, "num_classes": 3, "hidden_sizes": [5]}
    zoo.create("autoencoder_classifier", **classifier, pretraining_epochs=0).check(x)  # nothing is reconstructed


def test_without_pre_training_the_input_of_the_whole_is_corrupted() -> None:
    net = stack(corruption="masking", corruption_levels=[0.5], pretraining_epochs=0).requires_grad_(False)
    x = torch.rand(50, 6)
    assert len({float(net.loss((x,))["loss"]) for _ in range(3)}) == 3
    assert len({float(net.eval().loss((x,))["loss"]) for _ in range(3)}) == 1


def test_double_precision_stays_double() -> None:
    x = torch.rand(3, 6).double()
    for reconstruction in ("squared_error", "cross_entropy"):
        assert stack(reconstruction=reconstruction).double().loss((x,))["loss"].dtype is torch.double


def test_a_classifier_without_pre_training_is_a_perceptron() -> None:
    net = zoo.create("autoencoder_classifier", in_features=6, num_classes=3, hidden_sizes=[5, 4], pretraining_epochs=0)
    mlp = zoo.create("mlp", in_features=6, num_classes=3, hidden_sizes=[5, 4], activation="sigmoid")
    for ours, theirs in zip([*net.encoders, net.output], mlp.layers, strict=True):
        theirs.load_state_dict(ours.state_dict())
    batch = (torch.randn(9, 6), torch.arange(9) % 3)
    assert [phase.name for phase in net.phases] == ["fine-tuning"]
    for name, value in mlp.loss(batch).items():
        torch.testing.assert_close(net.loss(batch)[name], value)


# --- phases -------------------------------------------------------------------------------------------------------

SDA = [
    "model=autoencoder_classifier", "model.hidden_sizes=[12,11,10]", "model.pretraining_epochs=2", "data=digits",
    "data.standardise=false", "data.image_size=8", "data.batch_size=100", "trainer.max_epochs=8",
    "model.dropout=0.2", "optimizer=adam", "optimizer.weight_decay=0.1", "logger=csv", "run_dir=run",
]  # fmt: skip


@pytest.mark.parametrize("target", ["code", "input"])
@pytest.mark.parametrize("tied", [True, False])
def test_what_a_phase_freezes_stays_as_it_was_to_the_bit(
    target: str, tied: bool, train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a weight decay and moments, which would move a weight whose gradient is zero instead of absent."""
    result = train(*SDA, f"model.target={target}", f"model.tied={str(tied).lower()}", "figures=false")
    states = [read_checkpoint(f"run/checkpoints/phase_{number}.ckpt")["state_dict"] for number in range(4)]
    states.append(read_checkpoint("run/checkpoints/last.ckpt")["state_dict"])
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("phase ")]
    assert len(said) == 4 and len(result["phases"]) == 4
    total = sum(value.numel() for value in states[0].values())
    for k, (before, after) in enumerate(zip(states, states[1:], strict=False)):
        trained = (
            (f"network.encoders.{k}.", f"network.decoders.{k}.") if k < 3 else ("network.encoders.", "network.output.")
        )
        for name in before:
            assert torch.equal(before[name], after[name]) != name.startswith(trained), (k, name)
        count = sum(value.numel() for name, value in before.items() if name.startswith(trained))
        name = f"layer {k + 1}" if k < 3 else "fine-tuning"
        assert result["phases"][k] == {"name": name, "epochs": 2, "trained": count}
        epochs = f"epochs {2 * k + 1} to {2 * k + 2}"
        assert said[k] == f"phase {k + 1}/4, {name}: trains {count:,} of {total:,} parameters, {epochs}"
    with open("run/metrics.csv", newline="") as file:
        assert [int(row["phase"]) for row in csv.DictReader(file)] == [1, 1, 2, 2, 3, 3, 4, 4]


def test_a_run_in_phases_draws_its_figures(train: Train) -> None:
    result = train(*SDA)
    names = {Path(path).stem for path in result["figures"]}
    assert {"learning_curves", "reconstructions", "filters", "codes", "gradient_by_layer", "confusion_matrix"} <= names
    net = zoo.load("run")
    start = as_after(net, Path("run"), 0)
    torch.manual_seed(0)
    fresh = zoo.create("autoencoder_classifier", **net.card["arguments"])
    assert all(torch.equal(a, b) for a, b in zip(start.parameters(), fresh.parameters(), strict=True))


def test_each_phase_starts_its_schedule_and_its_moments_afresh(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[tuple[float, list[int]]] = []
    step = torch.optim.Adam.step

    def watched(self: torch.optim.Adam, closure: Any = None) -> Any:
        loss = step(self, closure)
        steps.append((self.param_groups[0]["lr"], [int(state["step"]) for state in self.state.values()]))
        return loss

    monkeypatch.setattr(torch.optim.Adam, "step", watched)
    train(*SDA, "optimizer.schedule=linear", "optimizer.lr=0.01", "figures=false")
    assert len(steps) == 8 * 11
    for number, (lr, counts) in enumerate(steps):
        into = number % 22  # of the phase
        assert lr == pytest.approx(0.01 * (1 - into / 22))
        assert set(counts) == {into + 1} and len(counts) == (3 if number < 66 else 8)  # two biases and a tied weight


def test_only_an_epoch_of_the_last_phase_can_be_the_best(train: Train) -> None:
    train(
        *SDA, "model.reconstruction=squared_error", "model.hidden_sizes=[2,2]", "trainer.select=best",
        "trainer.max_epochs=6", "figures=false",
    )  # fmt: skip
    with open("run/metrics.csv", newline="") as file:
        losses = [float(row["val/loss"]) for row in csv.DictReader(file)]
    assert min(losses[:4]) < min(losses[4:])
    best = read_checkpoint("run/checkpoints/best.ckpt")["zoo"]["metrics"]
    assert best["val/loss"] == pytest.approx(min(losses[4:])) and "val/squared_error" not in best


@pytest.mark.parametrize("optimizer", sorted(load_all()["optimizer"]))
def test_every_optimizer_goes_through_phases(optimizer: str, train: Train) -> None:
    given = [text for text in SDA if not text.startswith("optimizer")]
    train(*given, f"optimizer={optimizer}", "trainer.max_epochs=7", "figures=false")
    assert read_checkpoint("run/checkpoints/last.ckpt")["zoo"]["phases"][-1]["epochs"] == 1


def test_a_continued_run_keeps_its_phases(train: Train) -> None:
    few = [
        "model=few_labels", "model.hidden_sizes=[10]", "model.labels=[20,110]", "model.pretraining_epochs=1",
        "data=digits", "data.standardise=false", "data.image_size=8", "optimizer=adam", "run_dir=run", "logger=csv",
        "figures=false",
    ]  # fmt: skip
    train(*few, "trainer.max_epochs=3")
    with pytest.raises(CheckpointError, match=r"in phases of \[1, 1, 1\] epochs, this command has \[1, 2, 2\]"):
        train(*few, "trainer.max_epochs=5", "ckpt_path=last")
    assert train(*few, "trainer.max_epochs=4", "ckpt_path=last")["phases"][-1]["epochs"] == 2


def test_a_phase_that_was_cut_short_is_not_kept_as_done(train: Train) -> None:
    train(*SDA, "trainer.max_steps=11", "figures=false")  # one of its two epochs
    assert sorted(path.name for path in Path("run/checkpoints").iterdir()) == ["best.ckpt", "last.ckpt", "phase_0.ckpt"]


@pytest.mark.parametrize("code_size", [1, 2, 4, 64])
def test_codes_of_every_size_are_drawn(code_size: int, train: Train) -> None:
    result = train(
        "model=autoencoder", f"model.hidden_sizes=[5,{code_size}]", "model.pretraining_epochs=1", "model.target=input",
        "data=digits", "data.standardise=false", "data.image_size=8", "trainer.max_epochs=3", "run_dir=run",
    )  # fmt: skip
    names = {Path(path).stem for path in result["figures"]}
    assert names == {"learning_curves", "reconstructions", "filters"} | ({"codes"} if code_size > 1 else set())
    assert ("test/share_of_pca" in result["metrics"]) == (code_size < 64)


def test_a_linear_autoencoder_comes_near_pca_in_seconds(train: Train) -> None:
    """The experiment on MNIST comes within a thousandth; here two neighbouring components are hard to tell apart."""
    result = train(
        "model=autoencoder", "model.hidden_sizes=[7]", "model.activation=linear", "model.code_activation=linear",
        "model.output_activation=linear", "model.pretraining_epochs=0", "data=digits", "data.standardise=false",
        "data.image_size=8", "data.batch_size=100", "optimizer=adam", "optimizer.lr=0.01", "optimizer.schedule=linear",
        "trainer.max_epochs=200", "figures=false", "logger=csv", "trainer.progress=false",
    )  # fmt: skip
    assert result["metrics"]["test/share_of_pca"] == pytest.approx(1, abs=0.02)


def test_epochs_are_shared_out() -> None:
    def plan(epochs: list[int | None], max_epochs: int, max_steps: int | None = None) -> Plan:
        net = torch.nn.Linear(1, 1)
        net.phases = [Phase(f"p{i}", (net,), own) for i, own in enumerate(epochs)]
        return Plan(net, 10, max_epochs, max_steps)

    assert plan([3, 2, None], 9).epochs == [3, 2, 4]
    assert plan([3, None, None], 10).epochs == [3, 3, 4]
    cut = plan([3, 2, None], 9, 45)
    assert cut.ends == [30, 50, 90] and cut.total_steps == 45
    assert cut.factor(SGD(schedule="linear"), 30) == 1 and cut.factor(SGD(schedule="linear"), 42) == pytest.approx(0.2)
    assert [plan([3, 2, None], 9).number(step) for step in (0, 29, 30, 49, 50, 89, 90)] == [0, 0, 1, 1, 2, 2, 2]
    assert Plan(torch.nn.Linear(1, 1), 10, 4).ends == [40]
    with pytest.raises(
        ConfigError, match="max_epochs must be >= 6, got 5: of 3 phases 2 take 5 together, and the others"
    ):
        plan([3, 2, None], 5)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("trainer.max_epochs=6", "trainer.max_epochs must be >= 7, got 6: of 4 phases 3 take 6"),
        ("trainer.early_stopping_patience=2", "trainer.early_stopping_patience must be null: .* is trained in phases"),
        (
            "data.standardise=true",
            r"does not fit data=digits: .* needs numbers in \[0, 1\], got -0.812.*standardise=false",
        ),
    ],
)
def test_what_does_not_fit_a_training_in_phases_is_said_before_it(override: str, words: str, train: Train) -> None:
    with pytest.raises(ConfigError, match=words):
        train(*SDA, override)
    assert not Path("run").exists()


def test_a_phase_that_sees_few_items_has_as_many_steps() -> None:
    items = torch.arange(100)
    step = 0

    def batches(rows: Tensor | None) -> list[list[int]]:
        loader = Batches((items,), 10, seed=0, step=lambda: step, rows=lambda _: rows)
        return [batch.tolist() for (batch,) in loader]

    assert sorted(sum(batches(None), [])) == list(range(100))
    rows = torch.tensor([3, 5, 8, 13, 21, 34, 55, 89, 90, 91, 92, 93, 94, 95, 96])
    first = batches(rows)
    assert [len(batch) for batch in first] == [10, 5] * 5
    for i in range(0, 10, 2):  # each pass sees each once, in an order of its own
        assert sorted(first[i] + first[i + 1]) == rows.tolist()
    assert len({tuple(batch) for batch in first}) == 10
    step = 7  # killed there, it goes on with the same
    assert batches(rows) == first[7:]
    assert batches(rows[:4]) == [[3, 5, 8, 13]] * 3


def test_some_of_each_class_are_drawn_by_the_seed() -> None:
    targets = torch.arange(90) % 3
    drawn = [some_of_each_class(targets, seed, 2, [0, 2]) for seed in range(300)]
    for rows in drawn[:20]:
        assert targets[rows].sort().values.tolist() == [0, 0, 2, 2] and rows.tolist() == sorted(set(rows.tolist()))
    assert torch.equal(drawn[5], some_of_each_class(targets, 5, 2, [0, 2]))
    counts = torch.cat(drawn).bincount(minlength=90)  # each of 60 items 20 times, give or take
    assert counts[targets == 1].sum() == 0 and 4 <= counts[targets != 1].min() and counts.max() <= 40
    with pytest.raises(ValueError, match="class 1 has 30 training items, not the 31"):
        some_of_each_class(targets, 0, 31, [1])
    with pytest.raises(ValueError, match="class 7 has 0 training items"):
        some_of_each_class(targets, 0, 1, [0, 7])


# --- few labels, and transfer ---------------------------------------------------------------------------------------


def test_pairs_start_alike_but_for_what_pre_training_has_done(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    from zoo.models.few_labels import FewLabels

    seen: list[tuple[int, int]] = []
    loss = FewLabels.loss

    def watched(self: FewLabels, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        if self.training:
            seen.append((self.phase, len(set(map(bytes, batch[0].flatten(1).numpy())))))
        return loss(self, batch)

    monkeypatch.setattr(FewLabels, "loss", watched)
    result = train(
        "model=few_labels", "model.hidden_sizes=[12,11]", "model.labels=[20,50]", "model.pretraining_epochs=2",
        "data=digits", "data.image_size=8", "data.standardise=false", "data.batch_size=100", "trainer.max_epochs=8",
        "optimizer=adam", "run_dir=run", "logger=csv",
    )  # fmt: skip
    start, pretrained, one_pair = (
        {
            k.removeprefix("network."): v
            for k, v in read_checkpoint(f"run/checkpoints/phase_{n}.ckpt")["state_dict"].items()
        }
        for n in (0, 2, 3)
    )
    for k, name in ((0, "layers.0.weight"), (1, "layers.1.weight"), (2, "layers.2.weight")):
        encoder = f"stack.encoders.{k}.weight"
        for pair in ("0", "1"):
            assert torch.equal(start[f"random.{pair}.{name}"], start[f"pretrained.{pair}.{name}"])
            assert torch.equal(pretrained[f"random.{pair}.{name}"], start[f"random.{pair}.{name}"])
            if k < 2:
                assert torch.equal(start[f"random.{pair}.{name}"], start[encoder])
                assert not torch.equal(pretrained[encoder], start[encoder])
        assert not torch.equal(one_pair[f"random.0.{name}"], start[f"random.0.{name}"])
        assert torch.equal(one_pair[f"random.1.{name}"], start[f"random.1.{name}"])
    # All items of a batch in pre-training, then each labelled item.
    assert {phase: max(n for p, n in seen if p == phase) for phase in range(4)} == {0: 100, 1: 100, 2: 20, 3: 50}
    metrics = result["metrics"]
    for count in (20, 50):
        difference = metrics[f"test/pretrained/{count}"] - metrics[f"test/random/{count}"]
        assert metrics[f"test/advantage/{count}"] == pytest.approx(difference, abs=2e-6)
    assert "error_by_labels" in {Path(path).stem for path in result["figures"]}


def test_transfer_takes_the_first_layers_and_each_network_is_alone(train: Train) -> None:
    small = [
        "experiment=digits_transfer", "model.source_epochs=1", "trainer.max_epochs=2", "figures=false", "logger=csv",
        "model.reused_layers=2",
    ]  # fmt: skip
    result = train(*small, "run_dir=run")
    before, after = (read_checkpoint(f"run/checkpoints/{name}.ckpt")["state_dict"] for name in ("phase_1", "last"))
    for name in before:
        _, net, layer, _ = name.split(".")
        if net == "source":
            assert torch.equal(before[name], after[name])
        if net == "frozen" and layer in ("conv1", "conv2"):
            assert torch.equal(after[name], after[name.replace("frozen", "source")])
        elif net == "frozen":
            assert not torch.equal(after[name], before[name])
    metrics = result["metrics"]
    for name in ("frozen", "fine_tuned"):
        gain = metrics[f"test/{name}"] - metrics["test/scratch"]
        assert metrics[f"test/gain/{name}"] == pytest.approx(gain, abs=2e-6)


def test_the_three_learn_as_they_would_alone() -> None:
    """The gradient of the sum is each network's own."""
    net = zoo.create("transfer_lenet", num_classes=10)
    batch = (torch.randn(8, 1, 28, 28), torch.tensor([5, 6, 7, 8, 9, 5, 6, 7]))
    net.loss(batch)["loss"].backward()
    for name in ("frozen", "fine_tuned", "scratch"):
        one = getattr(net, name)
        alone = torch.autograd.grad(one.loss(batch)["loss"], list(one.parameters()))
        for gradient, parameter in zip(alone, one.parameters(), strict=True):
            torch.testing.assert_close(parameter.grad, gradient)


def test_transfer_counts_only_the_classes_of_the_phase() -> None:
    net = zoo.create("transfer_lenet", num_classes=10).eval().requires_grad_(False)
    x, targets = torch.randn(6, 1, 28, 28), torch.tensor([0, 5, 1, 9, 4, 3])
    net.phase = 0
    found = net.loss((x, targets))
    mine = targets < 5
    assert found["items"] == 4
    torch.testing.assert_close(found["loss"], net.source.loss((x[mine], targets[mine]))["loss"])
    net.phase = 1
    found = net.loss((x, targets))
    assert found["items"] == 2
    torch.testing.assert_close(found["scratch"], net.scratch.loss((x[~mine], targets[~mine]))["acc"])
    assert float(net.loss((x[mine], targets[mine]))["loss"]) == 0
    rows = net.other_rows(torch.arange(100) % 10, 0)
    assert (rows % 10).sort().values.tolist() == [label for label in range(5, 10) for _ in range(5)]
    assert torch.equal(net.source_rows(torch.arange(100) % 10, 0), (torch.arange(100) % 10 < 5).nonzero()[:, 0])

# fmt: off
"""Prague (P. Pošík), C38 to C53: convolutional networks, from Nielsen's to ResNet."""

import math

import torch
import torch.nn.functional as F
from torch import nn

import zoo
from zoo.lectures.ledger import Steps, Within, claim
from zoo.lectures.prague.architectures import INCEPTIONS, Bottleneck, GoogLeNet, Inception, counted, resnet, vgg, zfnet
from zoo.lectures.prague.runs import (
    descend,
)
from zoo.lectures.small_tasks import digits


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
       why="image-net.org counts 1,281,167, and in all 14,197,122 in 21,841 synsets; 15M and 22k: Krizhevsky 2012.")
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
       why="Not deeper. 11.2 % is the entry of Zeiler's firm Clarifai, with extra data (GoogLeNet paper, table 2); the "
           "paper by Zeiler & Fergus reports 14.8 %.",
       correction="ZFNet 14.8 % (Clarifai 11.2 %): first filters 7x7, not 11x11, and as deep as AlexNet")
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
       why="Layers with weights, as ResNet's 152: 16 or 19. With input and poolings, as on slide 50, VGG-16 has 22.",
       correction="16 or 19 layers with weights; it is GoogLeNet that has 22")
def vgg_layers() -> Steps:
    (small, sixteen, pooled), (large, nineteen, _), google = counted(vgg, 16), counted(vgg, 19), counted(GoogLeNet)
    yield f"VGG-16: 2 + 2 + 3 + 3 + 3 convolutions and 3 fully connected = {sixteen} layers; {small:,} parameters"
    yield f"VGG-19: 2 + 2 + 4 + 4 + 4 + 3 = {nineteen}; {large:,} parameters"
    yield f"VGG-16 with poolings {pooled}, with its input {pooled + 1}; GoogLeNet so counted has {google[2] + 1}"
    yield "6.8 %: two nets together, after the contest; handed in 7.3 %, a single net 7.0 % (VGG paper, table 7)"
    return {"VGG-16": sixteen, "VGG-19": nineteen, "VGG-16 with input and pooling": pooled + 1,
            "parameters": (small, large)}


@claim("C48", slide=58, topic="architectures", says="GoogLeNet: 6.66 %, more than 30 layers of neurons",
       stated="more than 30", expected={"deep": 22, "with pooling": 27, "modules with weights": 58},
       verdict="ambiguous",
       why="Branch by branch there are 58. But on the longest way, as ResNet's 152 are counted, there are 22; with "
           "input and poolings, the count that gives VGG's 22, there are 28.",
       correction="22 layers deep, 27 with poolings, as its paper says; 58 layers with weights in all")
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
       correction="Each block of two or three layers is trained to the residual of its input")
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

SPATIAL = ("conv2d", "max_pool2d")  # what of AlexNet gives maps, as zoo.inspect calls it

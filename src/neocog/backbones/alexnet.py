"""AlexNet: the network with which deep learning came to vision.

Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks", NIPS
2012, in the layout of Krizhevsky 2014 (arXiv:1404.5997): 64 filters first, neither groups nor local response
normalisation. Names in the state dict are those of torchvision, whose published weights fit as they are.
"""

from __future__ import annotations

from torch import Tensor, nn

from neocog.backbones.backbone import Backbone
from neocog.types import Features

LAYERS = {  # kernel, channels, stride and padding; a pooling of 3x3 and stride 2 follows 1, 2 and 5
    "conv1": (11, 64, 4, 2),
    "conv2": (5, 192, 1, 2),
    "conv3": (3, 384, 1, 1),
    "conv4": (3, 256, 1, 1),
    "conv5": (3, 256, 1, 1),
}
POOLED = {"conv1": "pool1", "conv2": "pool2", "conv5": "pool5"}


class AlexNet(Backbone):
    """Five convolutions and three overlapping poolings, and three dense layers where `classes` is given.

    2,469,696 parameters without classes, 61,100,840 with 1,000. Maps: `conv1` to `conv5`, each after its
    ReLU, at strides 4, 8, 16, 16 and 16, and `pool1 pool2 pool5` at 8, 16 and 32. The paper's 224 pixels
    make 6 x 6 cells of `pool5`.
    """

    def __init__(self, classes: int | None = None) -> None:
        channels: dict[str, int] = {}
        strides: dict[str, int] = {}
        stride = 1
        for name, (_, width, step, _) in LAYERS.items():
            stride *= step
            channels[name], strides[name] = width, stride
            if name in POOLED:
                stride *= 2
                channels[POOLED[name]], strides[POOLED[name]] = width, stride
        super().__init__(channels, strides)
        layers: list[nn.Module] = []
        before = 3
        for name, (kernel, width, step, padding) in LAYERS.items():
            layers += [nn.Conv2d(before, width, kernel, step, padding), nn.ReLU()]
            layers += [nn.MaxPool2d(3, 2)] if name in POOLED else []
            before = width
        self.features = nn.Sequential(*layers)
        self.classifier = None if classes is None else _classifier(classes)
        self._initialise()

    def forward(self, images: Tensor, until: str | None = None) -> Features:
        self.require(until)
        maps: dict[str, Tensor] = {}
        names = iter(self.channels)
        x = self.normalise(images)
        for layer in self.features:
            x = layer(x)
            if isinstance(layer, nn.ReLU | nn.MaxPool2d):
                name = next(names)
                maps[name] = x
                if name == until:
                    break
        return Features(maps)

    def logits(self, images: Tensor) -> Tensor:
        """Class scores (B, classes), before softmax; the dense layers always see a 6x6 map."""
        if self.classifier is None:
            raise ValueError("this AlexNet was built without classes")
        pooled = nn.functional.adaptive_avg_pool2d(self(images, "pool5").maps["pool5"], 6)
        scores: Tensor = self.classifier(pooled.flatten(1))
        return scores

    def _initialise(self) -> None:
        """Normal weights and zero biases: He's deviation for convolutions, 0.01 for dense layers.

        The paper's one deviation of 0.01 and its biases of 1 need the long training that they were made for.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.01)
            if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)


alexnet = AlexNet  # the builder, named as those of the ResNets


def _classifier(classes: int) -> nn.Sequential:
    """fc6, fc7 and fc8, with dropout before the first two; fc6 reads (channel, row, column)."""
    return nn.Sequential(
        nn.Dropout(0.5),
        nn.Linear(256 * 6 * 6, 4096),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(4096, 4096),
        nn.ReLU(),
        nn.Linear(4096, classes),
    )

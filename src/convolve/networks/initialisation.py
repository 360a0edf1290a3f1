"""Starting weights for layers that are trained from nothing."""

from torch import nn


def he_initialise(module: nn.Module) -> None:
    """Draw the weights of every convolution and linear layer for rectifiers: N(0, 2 / fan-in), biases 0.

    With that variance the signal neither fades nor grows through ReLU layers, at any depth.

    Source: He, Zhang, Ren and Sun, "Delving deep into rectifiers", ICCV 2015, equation 10.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def output_layer(features: int, outputs: int) -> nn.Linear:
    """A linear head, (N, D) -> (N, K), with weights N(0, 0.01^2) and biases 0.

    So small that an untrained network calls all classes almost equally likely, as a first loss of ln K shows.
    """
    head = nn.Linear(features, outputs)
    nn.init.normal_(head.weight, std=0.01)
    nn.init.zeros_(head.bias)
    return head

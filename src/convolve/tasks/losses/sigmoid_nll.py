from torch import Tensor, float32, promote_types
from torch.nn.functional import binary_cross_entropy_with_logits


def sigmoid_nll(
    outputs: Tensor, targets: Tensor, *, class_weights: Tensor | None = None, label_smoothing: float = 0.0
) -> Tensor:
    """Negative log-likelihood of any number of classes an image, under one sigmoid a class; the mean over classes.

    The mean, not the sum, so that a learning rate that suits few classes suits many, and an untrained network starts at
    ln 2. With the smoothing e the target 1 becomes 1 - e / 2 and the target 0 becomes e / 2, which is the smoothing of
    a softmax over the two answers.

    Args:
        outputs: (N, K) logits of any float dtype; the loss is computed in float32 at least.
        targets: (N, K) in {0, 1}.
        class_weights: (K,), not negative, mean 1; they multiply the terms of their classes. None = all 1.
        label_smoothing: e in [0, 1).

    Returns:
        (N,) float32, or float64 as the outputs, >= 0.

    Source: Bishop, "Pattern Recognition and Machine Learning", 2006, equation 4.90.
    """
    logits = outputs.to(promote_types(outputs.dtype, float32))
    soft = targets.to(logits) * (1 - label_smoothing) + label_smoothing / 2
    losses = binary_cross_entropy_with_logits(logits, soft, reduction="none")
    if class_weights is not None:
        losses = losses * class_weights.to(losses)
    return losses.mean(dim=1)

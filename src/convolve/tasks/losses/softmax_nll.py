from torch import Tensor, float32, log_softmax, promote_types


def softmax_nll(
    outputs: Tensor, targets: Tensor, *, class_weights: Tensor | None = None, label_smoothing: float = 0.0
) -> Tensor:
    """Negative log-likelihood of one class an image, under a softmax over all classes.

    With the smoothing e the target is (1 - e) 1[c = y] + e / K, so the loss is (1 - e) (-log p_y) + e mean_c(-log p_c).

    A class weight multiplies the losses of its images and nothing else. PyTorch's `cross_entropy` instead divides a
    batch by the sum of the weights it holds, which makes an image's gradient depend on its neighbours in the batch.
    With weights whose mean over the training images is 1, the two agree on all of them together.

    Args:
        outputs: (N, K) logits of any float dtype; the loss is computed in float32 at least.
        targets: (N,) int64 in [0, K).
        class_weights: (K,), not negative, mean 1 over the training images; None = all 1.
        label_smoothing: e in [0, 1).

    Returns:
        (N,) float32, or float64 as the outputs, >= 0; ln K where the outputs are all alike.

    Source: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016, section 7.
    """
    log_likelihoods = log_softmax(outputs.to(promote_types(outputs.dtype, float32)), dim=1)
    losses = -log_likelihoods.gather(1, targets[:, None]).squeeze(1)
    if label_smoothing:
        losses = (1 - label_smoothing) * losses - label_smoothing * log_likelihoods.mean(dim=1)
    if class_weights is not None:
        losses = losses * class_weights.to(losses)[targets]
    return losses

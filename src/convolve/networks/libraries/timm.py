"""`timm:NAME`: any classification network of PyTorch Image Models; slow to import, so only when asked for."""

from typing import Any

from torch import Tensor

from convolve.errors import UserError
from convolve.networks.hub import require_connection
from convolve.networks.initialisation import output_layer
from convolve.networks.library import LIBRARIES, Library, feature_width, unknown_network
from convolve.networks.network import Architecture, Network
from convolve.networks.pretrained import Weights


def _names() -> list[str]:
    import timm

    names: list[str] = timm.list_models()
    return names


def _published(name: str) -> Any:
    """What timm says about the weights of a network; `name` may have a tag, as in resnet18.a1_in1k."""
    import timm

    base, _, tag = name.partition(".")
    if not timm.is_model(base):
        raise unknown_network("timm", base, _names())
    tagged = timm.list_pretrained(f"{base}.*")
    if tag and name not in tagged:
        raise UserError(f"timm has no weights '{tag}' of network '{base}'", f"Known: {', '.join(tagged) or 'none'}.")
    return timm.get_pretrained_cfg(name)


def _architecture(name: str) -> Architecture:
    import timm

    facts = _published(name)
    full_name = f"timm:{name}"

    def build(outputs: int, *, channels: int, image_hw: tuple[int, int]) -> Network:
        backbone = timm.create_model(name, pretrained=False, num_classes=0, in_chans=channels)
        features = feature_width(backbone, name=full_name, channels=channels, image_hw=image_hw)
        return Network(backbone, output_layer(features, outputs), features=features)

    side = facts.input_size[-1] if facts else 224
    fixed = bool(facts and facts.fixed_input_size)
    smallest = facts.min_input_size[-1] if facts and facts.min_input_size else 1
    return Architecture(
        name=full_name,
        build=build,
        about=f"{name} of PyTorch Image Models, made for images of {side} pixels",
        source=f"timm {timm.__version__}",
        sides=(side,) if fixed else (),
        smallest_side=side if fixed else smallest,
    )


def _downloaded() -> list[str]:
    """The names, with their tags, of what the cache of the Hugging Face Hub holds of timm."""
    import timm
    from huggingface_hub import CacheNotFound, scan_cache_dir

    try:
        repositories = scan_cache_dir().repos
    except CacheNotFound:
        return []
    names = {one.repo_id.removeprefix("timm/") for one in repositories if one.repo_id.startswith("timm/")}
    return sorted(name for name in names.intersection(timm.list_pretrained()) if _weights(name).at_hand())


def _weights(name: str) -> Weights:
    facts = _published(name)
    if not facts or not facts.hf_hub_id:
        raise UserError(f"timm publishes no weights for network '{name}'", "Train it from scratch, or choose another.")

    def at_hand() -> bool:
        from huggingface_hub import try_to_load_from_cache

        return isinstance(try_to_load_from_cache(facts.hf_hub_id, "model.safetensors"), str)

    def load() -> dict[str, Tensor]:
        import timm
        from huggingface_hub.constants import ENDPOINT

        if not at_hand():
            require_connection(ENDPOINT, f"the weights of timm:{name}")
        tensors: dict[str, Tensor] = timm.create_model(name, pretrained=True, num_classes=0).state_dict()
        return tensors

    return Weights(
        name=f"hub:timm:{name}",
        architecture=f"timm:{name}",
        source=f"huggingface.co/{facts.hf_hub_id}",
        licence=facts.license or "",
        trained_on=facts.tag,
        mean=facts.mean,
        std=facts.std,
        sides=(facts.input_size[-1],),
        how_to_get="with a network connection they are downloaded from huggingface.co",
        at_hand=at_hand,
        load=load,
    )


LIBRARIES.add("timm", Library(names=_names, architecture=_architecture, weights=_weights, downloaded=_downloaded))

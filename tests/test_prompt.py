"""Words of a prompt in tiny random diffusers pipelines: a UNet's and a joint transformer's."""

from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from diffusers_pipelines import LENGTH, flux, stable_diffusion
from regard.errors import InputError, NothingRecorded, SelectionError
from regard.prompt import PromptAttention, watch_prompt

PROMPT = "a red cat, a unicycle"


@pytest.fixture(scope="module")
def unet_pipeline() -> Any:
    return stable_diffusion()


def run(pipeline: Any, **options: Any) -> Image.Image:
    made: Image.Image = pipeline(
        PROMPT,
        num_inference_steps=3,
        height=16,
        width=24,
        generator=torch.Generator().manual_seed(0),
        **options,
    ).images[0]
    return made


@pytest.fixture(scope="module")
def watched(unet_pipeline: Any) -> tuple[PromptAttention, Image.Image]:
    with watch_prompt(unet_pipeline, PROMPT) as found:
        image = run(unet_pipeline)
    return found, image


def test_words_are_found_with_their_tokens(watched: tuple[PromptAttention, Image.Image]) -> None:
    found, _ = watched
    assert found.positions == {
        "a": (1,),
        "red": (2,),
        "cat": (3,),
        "a 2": (5,),
        "unicycle": (6, 7),
    }
    assert found.steps == 3
    assert all("attn2" in layer for layer in found.layers)


def test_maps_are_those_of_the_guided_rows(
    unet_pipeline: Any, watched: tuple[PromptAttention, Image.Image]
) -> None:
    """Against diffusers' own eager processor, which is made to keep its weights."""
    found, _ = watched
    from diffusers.models.attention_processor import AttnProcessor

    kept: list[Tensor] = []
    layer = found.layers[0]
    module = unet_pipeline.unet.get_submodule(layer)
    before = module.processor

    class Keeping(AttnProcessor):  # type: ignore[misc]
        def __call__(self, attn: Any, *args: Any, **kwargs: Any) -> Any:
            scores = attn.get_attention_scores

            def keep(*given: Any) -> Tensor:
                weights: Tensor = scores(*given)
                kept.append(weights)
                return weights

            attn.get_attention_scores = keep
            try:
                return super().__call__(attn, *args, **kwargs)
            finally:
                del attn.get_attention_scores

    module.set_processor(Keeping())
    run(unet_pipeline)
    module.set_processor(before)
    with_prompt = kept[1].reshape(2, -1, *kept[1].shape[-2:])[1].mean(0)  # step 1, (hw, tokens)
    cat = with_prompt[:, 3].reshape(found.maps[1, layer].shape[1:])
    # eager and fused attention round differently, and steps pass it on
    torch.testing.assert_close(found.maps[1, layer][2], cat, rtol=0, atol=1e-5)


def test_the_image_is_the_same_and_nothing_stays(
    unet_pipeline: Any, watched: tuple[PromptAttention, Image.Image]
) -> None:
    assert run(unet_pipeline).tobytes() == watched[1].tobytes()
    assert not any(m._forward_pre_hooks for m in unet_pipeline.unet.modules())


def test_heat_is_the_mean_and_a_word_the_sum_of_its_tokens(
    watched: tuple[PromptAttention, Image.Image],
) -> None:
    found, image = watched
    size_hw = (image.height, image.width)
    heat = found.heat("unicycle", size_hw)
    assert heat.shape == (16, 24)
    by_step = torch.stack([found.heat("unicycle", size_hw, steps=i) for i in range(3)]).mean(0)
    torch.testing.assert_close(heat, by_step)
    every = [found.heat(word, size_hw) for word in found.words]
    assert float(torch.stack(every).sum(0).max()) < 1, "start, comma and end take the rest"
    with pytest.raises(SelectionError, match="no word 'dog'"):
        found.heat("dog")
    with pytest.raises(SelectionError, match="step 3 does not exist"):
        found.heat("cat", steps=3)


def test_the_picture_has_a_panel_for_each_word(
    watched: tuple[PromptAttention, Image.Image],
) -> None:
    picture = watched[0].draw(watched[1])
    assert {"red", "cat", "unicycle"} <= set(picture.lines)


def test_without_guidance_all_rows_count(unet_pipeline: Any) -> None:
    with watch_prompt(unet_pipeline, PROMPT, layers="up_blocks.*") as found:
        run(unet_pipeline, guidance_scale=1.0)
    assert found.layers
    assert all(layer.startswith("up_blocks") for layer in found.layers)


def test_a_joint_transformer() -> None:
    pipeline = flux()
    with watch_prompt(pipeline, PROMPT) as found:
        run(pipeline, max_sequence_length=LENGTH)
    assert found.steps == 3
    assert found.layers == ["transformer_blocks.0.attn", "single_transformer_blocks.0.attn"]
    assert {grid.shape for grid in found.maps.values()} == {(6, 4, 6)}
    assert bool((found.heat("cat", (16, 24)) > 0).all())


def test_what_cannot_be_watched_is_told(unet_pipeline: Any) -> None:
    with (
        pytest.raises(InputError, match="neither a unet nor a transformer"),
        watch_prompt(object(), PROMPT),
    ):
        pass
    with pytest.raises(InputError, match="no word found"), watch_prompt(unet_pipeline, "!!"):
        pass
    with pytest.raises(NothingRecorded), watch_prompt(unet_pipeline, PROMPT):
        pass
    with (
        pytest.raises(InputError, match="a word is token 99"),
        watch_prompt(unet_pipeline, PROMPT, positions={"cat": [99]}),
    ):
        run(unet_pipeline)

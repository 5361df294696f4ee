"""Words of a prompt in tiny random diffusers pipelines: a UNet's and a joint transformer's."""

from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

import regard
from diffusers_pipelines import LENGTH, flux, pixart, stable_diffusion, stable_diffusion_3
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


def test_flux_with_true_guidance_counts_steps_once_and_the_prompts_pass() -> None:
    """The pipeline runs twice a step: with the prompt, then with the negative one."""
    pipeline = flux()
    options = {"max_sequence_length": LENGTH, "negative_prompt": "unicycle", "true_cfg_scale": 4.0}
    layer = "transformer_blocks.0.attn"
    with regard.record(pipeline.transformer, layer) as recording:
        run(pipeline, **options)
    with watch_prompt(pipeline, PROMPT) as found:
        run(pipeline, **options)
    assert [call.axes["forward"] for call in recording] == [0, 1, 2, 3, 4, 5]
    assert found.steps == 3
    assert {step for step, _ in found.maps} == {0, 1, 2}
    for step in range(3):
        with_prompt, without = (
            recording[2 * step + which].weights()[0, :, LENGTH:].mean(0)[:, [6, 7]].T
            for which in (0, 1)
        )
        map_of_unicycle = found.maps[step, layer][-2:].flatten(1)
        # summed in another order
        torch.testing.assert_close(map_of_unicycle, with_prompt, rtol=0, atol=1e-6)
        assert not torch.allclose(map_of_unicycle, without, atol=1e-4)


def test_a_scheduler_that_writes_into_the_image_does_not_hide_steps() -> None:
    pipeline = flux()
    step = pipeline.scheduler.step

    def in_place(out: Tensor, time: Tensor, latents: Tensor, **options: Any) -> Any:
        (made,) = step(out, time, latents, **options)
        return (latents.copy_(made),)

    pipeline.scheduler.step = in_place
    with watch_prompt(pipeline, PROMPT) as found:
        run(pipeline, max_sequence_length=LENGTH)
    assert found.steps == 3


def test_three_copies_of_an_image_at_once_are_told(unet_pipeline: Any) -> None:
    """As perturbed-attention guidance and InstructPix2Pix run, in orders of their own."""
    image, text = torch.randn(1, 4, 8, 8).repeat(3, 1, 1, 1), torch.randn(3, LENGTH, 16)
    with (
        pytest.raises(InputError, match="every image three times at once"),
        watch_prompt(unet_pipeline, PROMPT),
    ):
        unet_pipeline.unet(image, 5, encoder_hidden_states=text)


def with_prompt_alone(pipeline: Any, layer: str, step: int, **options: Any) -> Tensor:
    """The weights of the last row of a batch in a step, (heads, queries, keys), recorded whole."""
    with regard.record(pipeline.transformer, layer) as recording:
        run(pipeline, **options)
    return recording[step].weights()[-1]


def test_stable_diffusion_3_whose_text_comes_last_and_from_two_tokenizers() -> None:
    pipeline, options = stable_diffusion_3(), {"max_sequence_length": LENGTH}
    with watch_prompt(pipeline, PROMPT) as found:
        run(pipeline, **options)
    assert found.positions["cat"] == (3, 77 + 3)
    assert found.positions["unicycle"] == (6, 7, 77 + 6, 77 + 7)
    assert found.layers == ["transformer_blocks.0.attn", "transformer_blocks.1.attn"]
    weights = with_prompt_alone(pipeline, found.layers[0], 1, **options).mean(0)
    places = 4 * 6  # of 16 x 24 px, halved by the decoder and by patches
    assert weights.shape == (places + 77 + LENGTH,) * 2
    cat = weights[:places, [places + 3, places + 80]].sum(1).reshape(4, 6)
    heat = found.heat("cat", (4, 6), steps=1, layers=0)
    # summed in another order
    torch.testing.assert_close(heat, cat, rtol=0, atol=1e-6)


@pytest.mark.parametrize("guidance", [4.5, 1.0])
def test_pixart_with_guidance_and_without(guidance: float) -> None:
    """Its pipeline does not say whether it is guided; the rows without the prompt stay out."""
    pipeline = pixart()
    options = {"guidance_scale": guidance, "clean_caption": False}
    options |= {"use_resolution_binning": False, "max_sequence_length": LENGTH}
    with watch_prompt(pipeline, PROMPT) as found:
        run(pipeline, **options)
    assert found.layers == ["transformer_blocks.0.attn2", "transformer_blocks.1.attn2"]
    weights = with_prompt_alone(pipeline, found.layers[1], 2, **options).mean(0)
    assert weights.shape == (4 * 6, LENGTH)
    heat = found.heat("unicycle", (4, 6), steps=2, layers=1)
    # summed in another order
    torch.testing.assert_close(heat, weights[:, 6:8].sum(1).reshape(4, 6), rtol=0, atol=1e-6)


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
        pytest.raises(InputError, match="2 images at once"),
        watch_prompt(unet_pipeline, PROMPT),
    ):
        run(unet_pipeline, num_images_per_prompt=2)
    with (
        pytest.raises(SelectionError, match="no layer that attends to the prompt matches 'up_bl"),
        watch_prompt(unet_pipeline, PROMPT, layers="up_blocks.*.attn1"),
    ):
        run(unet_pipeline)
    with (
        pytest.raises(InputError, match="a word is token 99"),
        watch_prompt(unet_pipeline, PROMPT, positions={"cat": [99]}),
    ):
        run(unet_pipeline)

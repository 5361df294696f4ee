import math

import pytest
import torch

from aoanet import captioner
from regard.errors import SelectionError
from regard.models.aoanet.decoding import END, Decoding, Hypothesis, decode
from regard.models.aoanet.network import Scene

ONE = captioner()


def scene(images: int = 2) -> Scene:
    torch.manual_seed(5)
    with torch.inference_mode():
        return ONE.network.look(torch.randn(images, 7, 10), None)


@torch.inference_mode()
def captions(**choices: object) -> list[list[Hypothesis]]:
    return decode(ONE.network, scene(), Decoding(**choices), ONE.bad_endings)  # type: ignore[arg-type]


@torch.inference_mode()
def every_score(images: Scene, length: int) -> dict[tuple[int, ...], float]:
    """Score of every caption of up to ``length`` tokens of the first image, by brute force."""
    found: dict[tuple[int, ...], float] = {}
    one = images.rows(torch.tensor([0]))

    def grow(tokens: tuple[int, ...], score: float, last: int, state: object) -> None:
        scores, after = ONE.network.step(torch.tensor([last]), one, state)  # type: ignore[arg-type]
        for token, chance in enumerate(scores[0].tolist()):
            if token == ONE.network.options.vocab_size:
                continue
            if token == END or len(tokens) + 1 == length:
                found[tokens if token == END else (*tokens, token)] = score + chance
            else:
                grow((*tokens, token), score + chance, token, after)

    grow((), 0.0, END, ONE.network.begin(1))
    return found


def test_a_beam_as_wide_as_all_captions_finds_the_best() -> None:
    small = captioner(max_length=2)
    with torch.inference_mode():
        found = decode(small.network, scene(), Decoding(beam=13))
    best, score = max(every_score(scene(), 2).items(), key=lambda item: item[1])
    assert found[0][0].tokens == best
    assert found[0][0].score == pytest.approx(score, abs=1e-5)  # float32 sums


def test_scores_are_sums_of_log_probabilities_and_sorted() -> None:
    for of_image in captions(beam=4):
        scores = [one.score for one in of_image]
        assert scores == sorted(scores, reverse=True)
        for one in of_image:
            assert one.score == pytest.approx(sum(one.log_probabilities), abs=1e-4)
            assert END not in one.tokens


def test_images_of_a_batch_do_not_touch_each_other() -> None:
    both = captions(beam=3)
    for row in range(2):
        with torch.inference_mode():
            (alone,) = decode(ONE.network, scene().rows(torch.tensor([row])), Decoding(beam=3))
        assert [one.tokens for one in alone] == [one.tokens for one in both[row]]


def test_groups_are_diverse() -> None:
    plain = captions(beam=4, groups=2, diversity=0.0)
    diverse = captions(beam=4, groups=2, diversity=5.0)
    assert [one.tokens for one in plain[0][:2]] == [one.tokens for one in plain[0][2:]]
    first, second = diverse[0][0].tokens, diverse[0][2].tokens
    assert all(a != b for a, b in zip(first, second, strict=False))


def test_bad_endings_do_not_end() -> None:
    bad = set(ONE.bad_endings)
    assert bad
    for beam in (1, 3):
        for of_image in captions(beam=beam, remove_bad_endings=True):
            assert not any(one.ended and one.tokens and one.tokens[-1] in bad for one in of_image)


def test_no_word_twice_in_a_row() -> None:
    for beam in (1, 3):
        for of_image in captions(beam=beam, no_repeat=True):
            for one in of_image:
                assert all(a != b for a, b in zip(one.tokens, one.tokens[1:], strict=False))


def test_sampling_is_repeatable_and_stays_among_the_likeliest() -> None:
    assert captions(beam=1, top_k=3, seed=1) == captions(beam=1, top_k=3, seed=1)
    greedy = [one.tokens for (one,) in captions(beam=1)]
    assert [one.tokens for (one,) in captions(beam=1, top_k=1)] == greedy
    assert [one.tokens for (one,) in captions(beam=1, nucleus=1e-6)] == greedy
    drawn = {captions(beam=1, top_k=9, temperature=3.0, seed=n)[0][0].tokens for n in range(6)}
    assert len(drawn) > 1


def test_length_penalties() -> None:
    assert Decoding(length_penalty="wu_1").penalised(7, -6.0) == pytest.approx(-3.0)
    for of_image in captions(beam=3, length_penalty="avg_0"):
        for one in of_image:
            mean = sum(one.log_probabilities) / len(one.log_probabilities)
            assert math.isclose(one.score, mean, abs_tol=1e-5)  # float32 sums


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"beam": 0}, "beam=0, expected 1 or more"),
        ({"beam": 3, "groups": 2}, "a divisor of beam=3"),
        ({"beam": 2, "top_k": 5}, "beam=2, expected 1"),
        ({"beam": 1, "top_k": 5, "nucleus": 0.5}, "nucleus=0.5"),
        ({"beam": 1, "nucleus": 1.5}, "between 0 and 1"),
        ({"temperature": 0.0}, "temperature=0.0"),
        ({"length_penalty": "long"}, 'expected "wu_ALPHA"'),
        ({"length_penalty": "wu_x"}, 'expected "wu_ALPHA"'),
    ],
)
def test_impossible_choices_are_refused(choices: dict[str, object], words: str) -> None:
    with pytest.raises(SelectionError, match=words):
        Decoding(**choices)  # type: ignore[arg-type]

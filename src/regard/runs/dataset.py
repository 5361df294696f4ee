"""A run over the videos of a YTVIS dataset."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from regard.errors import SelectionError
from regard.media.frames import Video
from regard.media.ytvis import read_ytvis
from regard.models.dvis_daq.model import DvisDaq
from regard.runs.about import About, file_sha256
from regard.runs.job import Job, Source


def dataset_run(
    dataset: Path, images: Path | None, job: Job, model: str, run: Path
) -> tuple[About, list[Source]]:
    """How a run over a dataset is made, and its videos.

    Args:
        dataset: YTVIS JSON file.
        images: Folder that its file names begin in; by default ``JPEGImages`` beside it.
        job: What is run.
        model: Name of the checkpoint.
        run: Folder of the run.

    Raises:
        MediaError: The dataset cannot be read.
        SelectionError: It has not as many categories as the model has classes.
    """
    root = images or dataset.parent / "JPEGImages"
    listed = read_ytvis(dataset, root)
    sources = [
        Source(str(number), partial(_same, video), root) for number, video in listed.videos.items()
    ]
    about = job.about(model, _categories(job.network, listed.categories, dataset), sources, run)
    return replace(about, dataset=dataset.name, dataset_sha256=file_sha256(dataset)), sources


def _same(video: Video) -> Video:
    return video


def _categories(
    network: DvisDaq, categories: dict[int, str], dataset: Path
) -> tuple[tuple[int, str], ...]:
    """(id, name) of each class: models number the categories in the order of their ids."""
    classes = network.sem_seg_head.predictor.class_embed.out_features - 1
    if len(categories) != classes:
        raise SelectionError(
            f"{dataset} has {len(categories)} categories, but the model has {classes} classes; run "
            "it over the dataset that it was trained for"
        )
    return tuple(sorted(categories.items()))

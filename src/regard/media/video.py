"""Opening a video: a file, or a folder of frames."""

import os
from pathlib import Path

from regard.errors import MediaError
from regard.media.frame_files import FrameFiles, frame_paths
from regard.media.frames import Video
from regard.media.video_file import VideoFile


def open_video(source: str | os.PathLike[str]) -> Video:
    """The video in a file, or made of the images in a folder in the order of their names.

    Args:
        source: A regular file (MP4, MOV, MKV, WebM, AVI, GIF and the like) or a folder of images
            of one size. No URL, pipe or playlist.

    Raises:
        MediaError: One line that says what is wrong with it.
    """
    path = Path(source)
    if path.is_dir():
        images = frame_paths(path)
        if not images:
            raise MediaError(
                f"{os.fspath(source)!r} holds no images; expected a video file, or a folder of "
                "frames such as 00001.jpg"
            )
        return FrameFiles(path.resolve().name, images)
    return VideoFile(source)

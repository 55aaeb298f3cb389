"""Films that play everywhere, at their source's times and with its sound, through PyAV (extra ``video``).

An ``.mp4`` is H.264, a ``.webm`` VP9. Without PyAV, see :class:`emotion.live.sinks.Video`.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from emotion.base.errors import UserError
from emotion.faces.images import Image
from emotion.faces.labelled import Face
from emotion.live.sinks import LONGEST_PAUSE, Sink, check_room, check_size, check_target, check_whole, fit, rest
from emotion.video.frame import Frame, Stream

log = logging.getLogger(__name__)

#: Units of time in a second: those of MPEG, fine enough for any frame rate.
CLOCK = 90_000
#: Longest gap between two frames, in seconds, that is filled.
_LONGEST_GAP = 60.0


@dataclass(frozen=True)
class _Kind:
    format: str
    codec: str
    options: dict[str, str]
    copied: tuple[str, ...]  #: sound that players take in this container; it is not encoded again
    sound: str  #: encoder for other sound
    rate: int | None = None  #: sounds per second that the encoder needs
    longest: int = 65_535  #: pixels of a side that the encoder takes


# Lower `crf` is better; 17 and 20 cannot be told from the source by eye.
_KINDS = {
    ".mp4": _Kind(
        "mp4", "libx264", {"crf": "17", "preset": "veryfast", "bf": "0"},
        ("aac", "mp3", "mp3float"), "aac", longest=16_384,
    ),
    ".webm": _Kind(
        "webm", "libvpx-vp9", {"crf": "20", "b": "0", "deadline": "realtime", "cpu-used": "8", "row-mt": "1"},
        ("opus", "vorbis"), "libopus", 48_000,
    ),
}  # fmt: skip


def can_write(suffix: str) -> bool:
    """Whether PyAV is installed, with an encoder for films of this ending."""
    if suffix not in _KINDS or importlib.util.find_spec("av") is None:
        return False
    from av.codec import codecs_available

    return _KINDS[suffix].codec in codecs_available


class Film(Sink):
    """Writes the annotated frames at the source's own times, whatever its frame rate, with the sound of a video file.

    Between frames of a file that are far apart the first is repeated, so that editors, which know no times of frames,
    keep them beside the sound. Frames of another size are fitted into that of the first. An existing file is replaced.

    Args:
        path: A file that :func:`can_write` can write.
        stream: The source.
        rate: Frames per second, of a video whose rate varies that of its densest part.
        length: Seconds that the source announces; 0 where that is unknown.

    Raises:
        UserError: No such folder, or a file that cannot be written.
    """

    def __init__(self, path: Path, stream: Stream, rate: float, length: float = 0.0) -> None:
        self.path, self._live = path, stream.live
        check_target("save", path)
        source = Path(stream.name).expanduser()
        self._source = source if stream.kind == "video" and source.is_file() else None
        self._rate, self._length, self._total = rate, length, stream.total or 0
        self._writer: _Writer | None = None
        self._size, self._taken, self._written = (0, 0), 0, 0
        self._clock = self._previous = self._shown = 0.0
        self._image: Image | None = None

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._writer is None:
            return
        end = self._clock + 1 / self._rate
        end += rest(self._length, end, self._taken, self._total)
        with self._said():
            self._fill(end)
            self._writer.close(end)
        if kind is None:
            # A WebM announces its frames by its length and an average rate, which says nothing where that varies.
            check_whole(self.path, self._written if self.path.suffix.lower() == ".mp4" else None)

    def write(self, frame: Frame, faces: Sequence[Face], annotated: Image) -> bool:
        step = max(0.0, frame.time - self._previous)
        # A camera that was away, or whose clock jumps, doesn't take the recording with it.
        self._clock += min(step, LONGEST_PAUSE) if self._live else step
        self._previous = frame.time
        with self._said():
            if self._writer is None:
                self._size = annotated.shape[1], annotated.shape[0]
                check_size(self._size)
                self._check_longest()
                self._clock = 0.0 if self._live else frame.time
                self._writer = _Writer(self.path, self._size, self._source)
            check_room(self.path, self._written)
            self._fill(self._clock)
            self._image = fit(annotated, self._size)
            self._put(self._clock)
        self._taken += 1
        return True

    def _check_longest(self) -> None:
        suffix, longest = self.path.suffix.lower(), max(self._size)
        if longest > _KINDS[suffix].longest:
            most = _KINDS[suffix].longest
            raise UserError(f"save: a side of {longest} pixels is too long for {suffix} ({most} at most); save as .avi")

    def _put(self, time: float) -> None:
        assert self._writer is not None
        assert self._image is not None
        self._writer.write(self._image, time)
        self._shown, self._written = time, self._written + 1

    def _fill(self, until: float) -> None:
        """Repeat the last frame up to the time of the next."""
        if self._source is None or self._image is None or until - self._shown > _LONGEST_GAP:
            return
        while until - self._shown > 1.5 / self._rate:
            self._put(self._shown + 1 / self._rate)

    @contextmanager
    def _said(self) -> Iterator[None]:
        from av.error import FFmpegError

        try:
            yield
        except (OSError, FFmpegError) as error:
            raise UserError(f"save: cannot write '{self.path}': {error.strerror or error}") from None


class _Writer:
    """A file that grows by one frame after the other, each at its own time.

    Args:
        path: The file; replaced if it exists.
        size: Width and height; an odd one loses its last column or row.
        source: The video whose sound is taken over, if there is one.

    Raises:
        OSError, FFmpegError: It cannot be written; also by the methods.
    """

    def __init__(self, path: Path, size: tuple[int, int], source: Path | None) -> None:
        import av

        self._kind, self._stack = _KINDS[path.suffix.lower()], ExitStack()
        self._file = self._stack.enter_context(av.open(str(path.absolute()), "w", format=self._kind.format))
        self._width, self._height = (side // 2 * 2 for side in size)
        video: Any = self._file.add_stream(self._kind.codec, rate=25, options=self._kind.options)
        video.width, video.height, video.pix_fmt = self._width, self._height, "yuv420p"
        video.time_base = video.codec_context.time_base = Fraction(1, CLOCK)
        self._video, self._last, self._held = video, -1, None
        self._sound = _Sound(self._stack, self._file, self._kind, source) if source else None

    def write(self, image: Image, seconds: float) -> None:
        """Add a frame, uint8 BGR ``[H, W, 3]``; a time that does not rise is moved a little after the one before."""
        from av import VideoFrame

        frame = VideoFrame.from_ndarray(image[: self._height, : self._width], format="bgr24")
        self._last = frame.pts = max(round(seconds * CLOCK), self._last + 1)
        frame.time_base = Fraction(1, CLOCK)
        self._play(seconds)
        self._show(self._video.encode(frame))

    def close(self, end: float) -> None:
        """End the film, its last frame and its sound, at a time in seconds."""
        try:
            self._play(end)
            self._show(self._video.encode())
            if self._held is not None:
                self._held.duration = max(1, round(end * CLOCK) - self._held.pts)
                self._file.mux(self._held)
        finally:
            self._stack.close()

    def _show(self, packets: Iterable[Any]) -> None:
        for packet in packets:
            if self._held is not None:
                self._file.mux(self._held)
            self._held = packet

    def _play(self, until: float) -> None:
        for packet in self._sound.until(until) if self._sound else ():
            self._file.mux(packet)


class _Sound:
    """The sound of a video file, in packets for another file; beside what cannot be decoded, a film goes on silent."""

    def __init__(self, stack: ExitStack, file: Any, kind: _Kind, source: Path) -> None:
        import av

        self._packets: Iterator[tuple[float, Any]] = iter(())
        self._waiting: tuple[float, Any] | None = None
        self._source = source
        try:
            given = stack.enter_context(av.open(str(source.absolute())))
        except (OSError, av.error.FFmpegError) as error:
            self._missing(error)
            return
        heard, shown = given.streams.best("audio"), given.streams.best("video")
        if heard is None:
            return
        # 0 in the time of its frames
        begin = Fraction(0) if shown is None else (shown.start_time or 0) * (shown.time_base or Fraction(0))
        if heard.codec_context.name in kind.copied:
            self._packets = _copied(given, heard, file.add_stream_from_template(heard), begin)
        else:
            rate = kind.rate or heard.codec_context.sample_rate
            is_known = rate in (av.codec.Codec(kind.sound, "w").audio_rates or ())
            out = file.add_stream(kind.sound, rate=rate if is_known else 48_000)
            self._packets = _encoded(given, heard, out, begin)

    def until(self, seconds: float) -> Iterator[Any]:
        """The packets up to a time that were not taken yet."""
        from av.error import FFmpegError

        while True:
            try:
                self._waiting = self._waiting or next(self._packets, None)
            except (OSError, ValueError, FFmpegError) as error:
                self._missing(error)
                self._packets = iter(())
            if self._waiting is None or self._waiting[0] >= seconds:
                return
            yield self._waiting[1]
            self._waiting = None

    def _missing(self, error: Exception) -> None:
        why = getattr(error, "strerror", None) or error
        log.warning("save: the sound of '%s' cannot be read on from here (%s); the video continues", self._source, why)


def _copied(given: Any, heard: Any, out: Any, begin: Fraction) -> Iterator[tuple[float, Any]]:
    for packet in given.demux(heard):
        if packet.dts is None:  # the end
            return
        moved = round(begin / packet.time_base)
        packet.pts, packet.dts = (packet.dts if packet.pts is None else packet.pts) - moved, packet.dts - moved
        packet.stream = out
        if packet.pts >= 0:
            yield float(packet.pts * packet.time_base), packet


def _encoded(given: Any, heard: Any, out: Any, begin: Fraction) -> Iterator[tuple[float, Any]]:
    for frame in given.decode(heard):
        frame.pts = round((frame.pts * frame.time_base - begin) / frame.time_base)
        for packet in out.encode(frame) if frame.pts >= 0 else ():
            yield float(packet.pts * packet.time_base), packet
    for packet in out.encode(None):
        yield float(packet.pts * packet.time_base), packet

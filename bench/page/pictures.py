"""Pictures of a results folder -> inside the page, as WebP; of an animation also its last frame, for paper and for who wants no motion."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from PIL import Image, ImageSequence, UnidentifiedImageError

FOLDERS, KINDS = ("figures", "studies"), (".gif", ".png", ".webp")
ROOM = 3_400_000  # bytes of pictures in one page, as base64
WIDEST = 1600  # pixels
SAMPLE = "sample"  # the name of a picture of a data set itself
LARGEST = 64_000_000  # pixels of a file that is opened


@dataclass(frozen=True)
class Picture:
    """`source` and `still` are data addresses; without them the picture lies at `address`, beside the page."""

    group: str
    name: str
    address: str
    width: int = 0
    height: int = 0
    source: str = ""
    still: str = ""

    @property
    def price(self) -> bool:
        """Whether it says what attention costs."""
        return self.address.startswith("studies/length")

    @property
    def sample(self) -> bool:
        """Whether it shows samples of its data set, and stands with them."""
        return bool(self.group) and self.name == SAMPLE


def packed(frames: list[Image.Image], **how: object) -> str:
    """Frames as one WebP, in a data address."""
    content = io.BytesIO()
    first, *rest = frames
    first.save(content, "webp", method=4, **(how | ({"save_all": True, "append_images": rest} if rest else {})))
    return f"data:image/webp;base64,{base64.b64encode(content.getvalue()).decode()}"


def inside(path: Path) -> dict[str, object]:
    """What goes into the page; {} for what is no picture or too large for one."""
    try:
        with Image.open(path) as image:
            if image.width * image.height > LARGEST:
                return {}
            times = [frame.info.get("duration", 100) for frame in ImageSequence.Iterator(image)]
            frames = [frame.convert("RGB") for frame in ImageSequence.Iterator(image)]
    except (OSError, UnidentifiedImageError, ValueError):
        return {}  # it stays a link, and the reader's browser may know it
    for frame in frames:
        frame.thumbnail((WIDEST, WIDEST))
    size = dict(zip(("width", "height"), frames[0].size, strict=True))
    if len(frames) == 1:
        return size | {"source": packed(frames, quality=80)}
    return size | {"source": packed(frames, quality=60, duration=times, loop=0), "still": packed(frames[-1:], quality=80)}


def found(folder: Path) -> list[Picture]:
    """Every picture there is: by data set, then by name; those that no longer fit are linked."""
    pictures, left = [], ROOM
    paths = [(folder / top, path) for top in FOLDERS for path in (folder / top).rglob("*")]
    seen = [(top, p) for top, p in paths if p.suffix.lower() in KINDS and p.is_file() and not p.name.startswith(".")]
    for top, path in sorted(seen, key=lambda one: one[1].relative_to(folder).as_posix()):
        own, at = path.relative_to(top), path.relative_to(folder).as_posix()
        group = own.parent.as_posix() if own.parent.parts else ""
        name = own.stem.replace("-", ": ", 1) if group else own.stem.replace("-", ", ").replace("_", " ")
        one = inside(path)
        if (size := len(str(one.get("source", ""))) + len(str(one.get("still", "")))) > left:
            one, size = {}, 0
        left -= size
        address = quote(at.encode(errors="surrogateescape"))
        pictures.append(Picture(group, name.encode(errors="replace").decode(), address, **one))  # type: ignore[arg-type]
    return sorted(pictures, key=lambda one: (one.group != "", one.group))

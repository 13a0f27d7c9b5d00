"""Thumbnails: a picture comes in, a small JPEG goes out.

The event is the picture itself (PNG, JPEG, WebP, …), or JSON: {"image": "<base64>", "width": 256}.
"""

import base64
import io
import json
import logging

from PIL import Image, ImageOps

log = logging.getLogger()

WIDTH = 256
MAX_PIXELS = 50_000_000


def handler(event, context):
    """The thumbnail as JPEG bytes."""
    data, width = read(event)
    with Image.open(io.BytesIO(data)) as picture:
        if picture.width * picture.height > MAX_PIXELS:
            raise ValueError(f"{picture.width}×{picture.height} pixels are too many; {MAX_PIXELS:,} is the most")
        # A JPEG can be decoded smaller than it is, which saves most of the work.
        picture.draft("RGB", (2 * width, 2 * width))
        upright = ImageOps.exif_transpose(picture).convert("RGB")
    size = upright.size
    upright.thumbnail((width, 4 * width), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    upright.save(out, "JPEG", quality=82, optimize=True)
    log.info("%d×%d -> %d×%d, %d -> %d bytes", *size, *upright.size, len(data), out.tell())
    return out.getvalue()


def read(event):
    """The picture's bytes and the wished width."""
    if event[:1] != b"{":
        return event, WIDTH
    wish = json.loads(event)
    width = int(wish.get("width", WIDTH))
    if not 1 <= width <= 4096:
        raise ValueError(f"width {width} is not between 1 and 4096")
    return base64.b64decode(wish["image"], validate=True), width

"""Which module reads a document. Its type was checked against its content at the deposit."""

_IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/tiff", "image/bmp")
_OFFICE = ("application/vnd.openxmlformats-", "application/vnd.oasis.opendocument.")
_MARKS = (
    (b"%PDF-", "pdf"),
    (b"\x89PNG\r\n\x1a\n", "image"),
    (b"\xff\xd8\xff", "image"),
)


def module_of(media_type: str, data: bytes) -> str | None:
    """For a media type and the first bytes: `pdf`, `image`, `office`, `page` or `plain`; None for
    what is not read.
    """
    for mark, module in _MARKS:
        if data.startswith(mark):
            return module
    if media_type in _IMAGES:
        return "image"
    if media_type.startswith(_OFFICE) or "macroenabled" in media_type:
        return "office"
    if media_type in ("text/html", "application/xhtml+xml"):
        return "page"
    return "plain" if media_type.startswith("text/") else None

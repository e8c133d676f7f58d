"""Which picture files are read. Nothing is imported here, so that the command line can name them at no cost."""

SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp")
"""Suffixes that an image's or a mask's name may have, in lower or upper case."""

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".gif")
"""Suffixes of the videos that `predict` takes, in lower or upper case."""

FORMATS = "PNG, TIFF, JPEG or BMP"
DEPTHS = "8 or 16 bits a channel, or a 32-bit float TIFF"

JPEG = (".jpg", ".jpeg")
"""Suffixes of the format that changes pixel values, and so is not for masks."""

JPEG_MEND = "JPEG changes pixel values, so save masks as PNG."

MAX_PIXELS = 8192 * 8192
"""Pixels (height x width) that an image may have unless more are allowed: a small file can ask for gigabytes of memory."""

"""Image files that another library writes, and what it makes of them itself: the colours must be those."""

from __future__ import annotations

import io

import numpy as np
import pytest

from skinmtl.images.image_file import ImageError, decode

Image = pytest.importorskip("PIL.Image")

HEIGHT, WIDTH = 48, 64
ROWS, COLUMNS = np.mgrid[0:HEIGHT, 0:WIDTH]
RGB = np.stack([COLUMNS * 3, ROWS * 4, np.full((HEIGHT, WIDTH), 90)], axis=2).astype(np.uint8)
CMYK = np.stack([COLUMNS * 3, ROWS * 4, np.full((HEIGHT, WIDTH), 60), ROWS + COLUMNS], axis=2).astype(np.uint8)


def save(image, form, **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def compare(data, tolerance):
    """Holds our pixels against Pillow's, laid on white where they are transparent."""
    image = Image.open(io.BytesIO(data)).convert("RGBA")
    expected = np.asarray(Image.alpha_composite(Image.new("RGBA", image.size, "white"), image))[:, :, 2::-1]
    pixels = decode(data)
    assert pixels.shape == expected.shape
    assert np.abs(pixels.astype(int) - expected).max() <= tolerance


@pytest.mark.parametrize("form, options", [("JPEG", {"quality": 95}), ("JPEG", {"progressive": True}), ("TIFF", {})])
def test_cmyk(form, options):
    compare(save(Image.fromarray(CMYK, "CMYK"), form, **options), 3)


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF"])
def test_palette(form):
    compare(save(Image.fromarray(RGB).quantize(7), form), 0)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_palette_of_few_bits(bits):
    compare(save(Image.fromarray(RGB).quantize(2**bits), "PNG", bits=bits), 0)


def test_palette_with_a_transparent_colour():
    compare(save(Image.fromarray(RGB).quantize(7), "PNG", transparency=3), 0)


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF"])
def test_one_bit(form):
    compare(save(Image.fromarray(RGB[:, :, 0] > 90), form), 0)


def test_grey_with_alpha():
    compare(save(Image.fromarray(RGB[:, :, :2], "LA"), "PNG"), 1)


def test_colour_with_alpha_in_webp():
    rgba = np.dstack([RGB, (ROWS * 5).astype(np.uint8)])
    compare(save(Image.fromarray(rgba), "WEBP", lossless=True), 1)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits"])
def test_compressed_tiff(compression):
    data = save(Image.fromarray(RGB), "TIFF", compression=compression)
    compare(data, 0 if compression != "jpeg" else 3)
    for length in (len(data) // 2, len(data) - 1):
        with pytest.raises(ImageError):
            decode(data[:length])


def test_gif_is_read_whole_or_refused():
    """OpenCV reads GIF since 4.12; before, the file is refused and the user told."""
    data = save(Image.fromarray(RGB).quantize(7), "GIF")
    try:
        decode(data)
    except ImageError as error:
        assert "GIF is not read by this OpenCV" in str(error)
    else:
        compare(data, 0)
    for length in (len(data) // 2, len(data) - 1):
        with pytest.raises(ImageError):
            decode(data[:length])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation(form, orientation):
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if form == "WEBP" else {}
    data = save(Image.fromarray(RGB), form, exif=exif if form == "TIFF" else exif.tobytes(), **options)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    pixels = decode(data)
    assert pixels.shape == np.asarray(expected).shape
    assert np.abs(pixels[:, :, ::-1].astype(int) - np.asarray(expected)).max() <= 3

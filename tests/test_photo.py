import functools
import io
import struct
import zlib
from typing import Any

import numpy as np
import pillow_heif
import pytest
import skimage.data
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fer.boxes import iou
from fer.config import Settings
from fer.detect import Cascade
from fer.errors import ImageError
from fer.labels import UNCERTAIN
from fer.photo import MAX_BYTES, decode, read_faces
from fer.types import Face, Frame, Reading
from tests.fakes import FakeClassifier, FakeDetector, probs_of, square

ORIENTATION = 0x0112
pillow_heif.register_heif_opener(thumbnails=False)


def _encode(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


@functools.cache
def _picture() -> Image.Image:
    return Image.fromarray(skimage.data.astronaut()[40:200, 150:270])


FORMS = {
    "JPEG": {"quality": 95},
    "PNG": {},
    "WEBP": {"quality": 95},
    "HEIF": {"quality": 95},
    "BMP": {},
    "GIF": {},
    "TIFF": {},
    "MPO": {"quality": 95, "save_all": True},
}


@functools.cache
def _encoded(form: str) -> bytes:
    return _encode(_picture(), form, **FORMS[form])


@pytest.mark.parametrize("form", FORMS)
def test_a_picture_of_each_form_is_read_as_it_was_made(form: str):
    frame = decode(_encoded(form))
    truth = np.asarray(_picture())[:, :, ::-1]
    assert (frame.shape, frame.dtype) == ((160, 120, 3), np.uint8)
    assert frame.flags.c_contiguous and frame.flags.writeable
    assert np.abs(frame.astype(int) - truth).mean() < 6


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "HEIF"])
@pytest.mark.parametrize("orientation, turns", [(1, 0), (3, 2), (6, 1), (8, 3)])
def test_a_picture_that_was_taken_with_the_phone_turned_is_upright(form: str, orientation: int, turns: int):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    as_the_sensor_saw_it = Image.fromarray(np.rot90(np.asarray(_picture()), turns))
    frame = decode(_encode(as_the_sensor_saw_it, form, exif=exif.tobytes(), **FORMS[form]))
    assert np.abs(frame.astype(int) - np.asarray(_picture())[:, :, ::-1]).mean() < 6


def _exif(*entries: tuple[int, int, int, bytes]) -> bytes:
    """EXIF data with entries (tag, type, count, four bytes of value), whatever they mean."""
    ifd = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHI", *e[:3]) + e[3] for e in entries) + bytes(4)
    return b"Exif\0\0II*\0\x08\0\0\0" + ifd


TURNED = (ORIENTATION, 3, 1, b"\6\0\0\0")


@pytest.mark.parametrize(
    "exif",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"Exif\0\0", id="nothing behind the name"),
        pytest.param(b"Exif\0\0II*\0\xff\xff\xff\xff", id="pointing past the end"),
        pytest.param(_exif((ORIENTATION, 3, 1, b"\x63\0\0\0")), id="an orientation that there is not"),
        pytest.param(_exif((ORIENTATION, 2, 4, b"up\0\0")), id="an orientation in words"),
        pytest.param(_exif((ORIENTATION, 3, 999_999, b"\6\0\0\0")), id="a million orientations"),
        pytest.param(_exif(TURNED, (0x011A, 2, 4, b"300\0")), id="a resolution in words"),
        pytest.param(_exif(TURNED, (0x0131, 3, 1, b"\7\0\0\0")), id="a program's name in numbers"),
        pytest.param(_exif(TURNED, (0x0128, 2, 4, b"cm\0\0")), id="a unit in words"),
    ],
)
def test_odd_data_about_a_picture_does_not_keep_it_from_being_read(exif: bytes):
    assert sorted(decode(_encode(_picture(), "JPEG", exif=exif)).shape) == [3, 120, 160]


def test_what_is_transparent_is_white():
    layer = np.zeros((8, 8, 4), np.uint8)
    layer[:4] = (0, 0, 255, 255)
    frame = decode(_encode(Image.fromarray(layer), "PNG"))
    assert frame[0, 0].tolist() == [255, 0, 0] and frame[7, 7].tolist() == [255, 255, 255]


def test_a_colour_that_a_palette_calls_transparent_is_white():
    image = Image.new("P", (2, 2), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    assert np.unique(decode(_encode(image, "PNG", transparency=1))).tolist() == [255]


@pytest.mark.parametrize(
    "mode, form",
    [("L", "PNG"), ("1", "PNG"), ("P", "PNG"), ("LA", "PNG"), ("CMYK", "JPEG"), ("YCbCr", "JPEG"), ("F", "TIFF")],
)
def test_a_picture_of_any_mode_becomes_blue_green_and_red(mode: str, form: str):
    frame = decode(_encode(_picture().convert(mode), form))
    assert (frame.shape, frame.dtype) == ((160, 120, 3), np.uint8)
    assert frame.std() > 10


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_sixteen_bits_are_brought_to_eight_from_the_darkest_to_the_brightest(form: str):
    levels = np.tile(np.linspace(1000, 60_000, 256).astype(np.uint16), (10, 1))
    frame = decode(_encode(Image.fromarray(levels), form))
    assert (frame[0, 0].tolist(), frame[0, -1].tolist()) == ([0, 0, 0], [255, 255, 255])
    assert (np.diff(frame[0, :, 0].astype(int)) >= 0).all()


def test_sixteen_bits_of_one_grey_are_flat():
    assert decode(_encode(Image.fromarray(np.full((9, 9), 3000, np.uint16)), "PNG")).std() == 0


def test_of_an_animation_the_first_picture_is_read():
    red, blue = Image.new("RGB", (10, 10), "red"), Image.new("RGB", (10, 10), "blue")
    for form in ("GIF", "WEBP", "PNG"):
        frame = decode(_encode(red, form, save_all=True, append_images=[blue]))
        assert frame[5, 5, 2] > 200 and frame[5, 5, 0] < 50


@pytest.mark.parametrize(
    "content, why",
    [
        pytest.param(b"", "empty", id="empty"),
        pytest.param(b"hello", "not a picture", id="text"),
        pytest.param(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture", id="a drawing"),
        pytest.param(b"%PDF-1.7\n", "not a picture", id="a document"),
        pytest.param(
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "not a picture", id="a program"
        ),
        pytest.param(b"P6 1 1 255\n\0\0\0", "not a picture", id="a form that is not asked for"),
        pytest.param(bytes(1000), "not a picture", id="noughts"),
        pytest.param(b"\xff\xd8\xff", "", id="the beginning of a JPEG"),
        pytest.param(b"\x89PNG\r\n\x1a\n", "", id="the beginning of a PNG"),
        pytest.param(bytes(MAX_BYTES + 1), "at most 20 MB", id="too many bytes"),
    ],
)
def test_what_is_no_picture_is_refused_in_a_sentence(content: bytes, why: str):
    with pytest.raises(ImageError) as error:
        decode(content)
    assert why in str(error.value) and str(error.value).endswith(".")


@pytest.mark.parametrize("form", FORMS)
def test_half_a_picture_is_refused(form: str):
    with pytest.raises(ImageError):
        decode(_encoded(form)[: len(_encoded(form)) // 2])


@given(st.sampled_from(list(FORMS)), st.floats(0, 1))
def test_a_picture_cut_off_anywhere_is_refused_or_whole(form: str, share: float):
    content = _encoded(form)
    try:
        assert decode(content[: int(share * len(content))]).shape == (160, 120, 3)
    except ImageError as error:
        assert str(error).endswith(".")


@given(
    st.sampled_from(list(FORMS)), st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=8)
)
def test_a_picture_with_damaged_bytes_is_refused_or_a_frame(form: str, damage: list[tuple[float, int]]):
    content = bytearray(_encoded(form))
    for share, value in damage:
        # Most of the damage goes where it matters: to the headers.
        content[int(share**4 * len(content))] = value
    try:
        frame = decode(bytes(content))
    except ImageError:
        return
    assert frame.ndim == 3 and frame.shape[2] == 3 and frame.dtype == np.uint8


def _bomb(width: int, height: int) -> bytes:
    """A PNG of that size whose pixels are no pixels: whoever decodes them fails in another way."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", b"no pixels") + chunk(b"IEND", b"")


@pytest.mark.parametrize("width, height", [(8000, 5001), (40_000_001, 1), (20_000, 20_000), (2**31 - 1, 2**31 - 1)])
def test_a_picture_of_too_many_pixels_is_refused_before_a_pixel_is_decoded(width: int, height: int):
    with pytest.raises(ImageError, match="megapixels"):
        decode(_bomb(width, height))


def test_a_picture_just_within_the_limit_is_decoded():
    with pytest.raises(ImageError, match="damaged"):
        decode(_bomb(8000, 5000))


def read(*args: Any) -> list[Reading]:
    """The readings of read_faces, without the crops."""
    return read_faces(*args)[0]


PHOTO = np.random.default_rng(6).integers(0, 256, (300, 300, 3), np.uint8)


def test_a_picture_without_faces_gives_no_readings():
    readings, crops = read_faces(PHOTO, FakeDetector(), FakeClassifier(), 0.4)
    assert readings == [] and crops.shape == (0, 48, 48, 1)


def test_the_main_face_comes_first():
    small, large, aside = square(130, 130, 40), square(20, 100, 90), square(210, 10, 86)
    readings = read(PHOTO, FakeDetector([small, aside, large]), FakeClassifier(), 0.4)
    assert [reading.face for reading in readings] == [large, aside, small]
    assert [reading.face_id for reading in readings] == [0, 1, 2]


def test_of_two_faces_about_as_large_the_one_in_the_middle_is_the_main_one():
    middle, corner = square(110, 110, 80), square(0, 0, 84)
    assert read(PHOTO, FakeDetector([corner, middle]), FakeClassifier(), 0.4)[0].face == middle


def test_a_picture_is_searched_small_for_large_faces_and_large_for_small_ones():
    detector = FakeDetector([square(100, 100, 100)], [square(100, 100, 25)])
    readings = read(np.zeros((960, 1280, 3), np.uint8), detector, FakeClassifier(), 0.4)
    assert [(width, height) for width, height, _ in detector.asked] == [(320, 240), (1280, 960)]
    assert [reading.face.side_px for reading in readings] == [400, 25]


def test_a_small_picture_is_not_blown_up():
    detector = FakeDetector()
    read(np.zeros((30, 40, 3), np.uint8), detector, FakeClassifier(), 0.4)
    assert {(width, height) for width, height, _ in detector.asked} == {(40, 30)}


def test_a_box_whose_middle_lies_outside_the_picture_is_no_face_of_it():
    assert read(PHOTO, FakeDetector([square(-60, 100, 100)]), FakeClassifier(), 0.4) == []


@pytest.mark.parametrize(
    "face, share, label",
    [
        pytest.param(square(100, 100, 100), 0.9, "happy", id="sure"),
        pytest.param(square(100, 100, 100), 0.39, UNCERTAIN, id="below the floor"),
        pytest.param(square(100, 100, 10), 0.9, UNCERTAIN, id="too small"),
    ],
)
def test_a_reading_is_named_where_it_is_sure_and_the_face_can_be_read(face: Face, share: float, label: str):
    (reading,) = read(PHOTO, FakeDetector([face]), FakeClassifier(probs_of("happy", share)), 0.4)
    assert reading.label == label


def test_a_face_of_one_colour_is_uncertain():
    flat = np.full((300, 300, 3), 90, np.uint8)
    assert read(flat, FakeDetector([square(100, 100)]), FakeClassifier(), 0.4)[0].label == UNCERTAIN


def test_the_astronaut_is_found_in_her_photo(astronaut: Frame, astronaut_face: Face):
    reading, *others = read(astronaut, Cascade(Settings()), FakeClassifier(), 0.4)
    assert iou(reading.face.xyxy, astronaut_face.xyxy) > 0.6
    assert all(other.face.area_px < reading.face.area_px for other in others)

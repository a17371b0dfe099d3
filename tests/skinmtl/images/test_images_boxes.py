"""AVIF and HEIC: turned as their boxes say, as deep as they are, and named where they cannot be read."""

from __future__ import annotations

import base64
import io
import struct

import numpy as np
import pytest
from made_photos import TURNED, exif

from skinmtl.images import boxes, formats
from skinmtl.images.image_file import ImageError, decode

# left half (200, 100, 50), right half (25, 250, 150); turned by EXIF's 6, which libheif wrote as `irot`: 96 x 64 before
HEIC = base64.b85decode(
    "0000SW^{RQXk}?*00000ZE0pPXk}?*ZE0a<0004@ZDn*}000000000XXk=`10000000000aA{+700000000000000000000G-+&aV*mgE07O6l0ss"
    "L300001#Q*^S00000005H!0ssI200LM50RR9100000Bme*aIB98aW&i*H00062000$fZf0cy000000RRAKc4ILB0000LX>Mj^0ssI300IC2MR;ju"
    "000004sdC7Z2$lO00031007`=aB^?}006*gaAR)(004Msc4I>U18@KU0FVFx0000U@BsY%`1k+-4+CHT0RR|40Sp2E{{wIU00RJ!0009300RIXx&"
    "lC90096iLID8-Z~y=U0FVFx0{{R603M()fd!W8Nhz*w0vZem00093$N&HX00=;000968L;=Baup&SJ000wXZ)|dIV{CW;0RRmE27mwn02FC+aAg"
    "1h000000AK(B06+i$01$9#cxeCt0009B2nYZG010VwZ*&6y000<iaBX1#00000000310R@2q0|bQt000_ka%E-!00000000hSWOHKx0ssL30RR91"
    "zinh;bN~PVk0=4J3E<-koVu_7?nD3orVivkC<AFAl%9NY-gm?tfBszJx|wkKBILk97qCd|Icpt_uzpX7aj&a%D;q-r=pT-NGW7sl@weQuf_g?oYw"
    "-=m1<EI~6+?r@ULh@o^M{uSVP2YaqOk30%Q`!P<5yCF9T{oiLmY$J4btAB{o)M1^nBl6+>)F2B6-R100006MR;ju002!*04e|g00;m90TKWM0000"
    "100sa600000"
)
# 16 x 16 of 10 bits: left (800, 400, 200), right (100, 1000, 600) of 1023; the lower half lets half of it through
AVIF_10 = base64.b85decode(
    "0000WW^{RQVRmU|00000VRmU|ZE0pPZE0a<O+hh10004oZDn*}000000000XXk=`10000000000aA{+7000000000000000000004sdC7Z2$lO000"
    "31001m$Y;R)#0000)000620RR910RR92!vFvPC;$Qg0003100FK5000#L002U1X>Mi!000000ssI28fk83WdZ;I000310AY48F+*=`Z*l+t000_k"
    "Zf0cy000000ssJEb}%tPY;b5{000008fkK6W&i*H000004q<h8YybiP0RRC2006^jaB^?}005n7aAR)(000zeb8uw<00000000mG000mG000nhX?S"
    "S>000033JMAU000bOb}>VNAV2^B000wXZ)|dIV{CW;0ssO427mwn01j|zcxeCt0003B0000CVRkV?fdE_p0000uVRd*z00000b#iVxZE$60I&E-eX"
    "F@t-X=89Yb9r-gWo>ghVRd+EY-wR~c{*WiaA;uw0000UX>e^}0000000002009I60)qqq0t5jCh6exu07Y$NVRRAz3I!Mp|M}E13Pb<^ux5t+UDq@"
    "c015~=4FB7}fPthk8bm;d)Sv)7fB*!dNP5ygsMDU*F3wAZIr$g"
)


def box(name, body):
    return struct.pack(">I", len(body) + 8) + name + body


def turned(*transforms, version=0, wide=False):
    """A file that is no more than what its item 5 says of how it is turned; item 1 says otherwise."""
    ispe = box(b"ispe", bytes(4) + struct.pack(">II", 64, 48))
    properties = [ispe, box(b"irot", b"\2"), *(box(name, bytes([value])) for name, value in transforms)]
    identifier = struct.pack(">I" if version else ">H", 5)
    index = (lambda n: struct.pack(">H", 0x8000 | n)) if wide else (lambda n: bytes([0x80 | n]))
    body = bytes([version, 0, 0, int(wide)]) + struct.pack(">I", 2) + struct.pack(">I" if version else ">H", 1)
    body += bytes([1]) + index(2) + identifier + bytes([len(transforms)])
    body += b"".join(index(n + 3) for n in range(len(transforms)))
    inner = box(b"pitm", bytes([version, 0, 0, 0]) + identifier)
    inner += box(b"iprp", box(b"ipco", b"".join(properties)) + box(b"ipma", body))
    return box(b"ftyp", b"avif" + bytes(4) + b"mif1") + box(b"meta", bytes(4) + inner)


PICTURE = np.arange(12).reshape(3, 4, 1)
FLIPS = {0: lambda image: image[::-1], 1: lambda image: image[:, ::-1]}


@pytest.mark.parametrize("quarters", range(4))
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_every_turn_is_one_of_exifs_eight(quarters, axis):
    """`irot`: quarters against the clock; `imir`: 0 exchanges top and bottom, 1 left and right; in the order given."""
    orders = [[(b"irot", quarters), (b"imir", axis)], [(b"imir", axis), (b"irot", quarters)]]
    for transforms in orders if axis is not None else [[(b"irot", quarters)]]:
        expected = PICTURE
        for name, value in transforms:
            expected = np.rot90(expected, value) if name == b"irot" else FLIPS[value](expected)
        for version in (0, 1):
            for wide in (False, True):
                data = turned(*transforms, version=version, wide=wide)
                np.testing.assert_array_equal(TURNED[boxes.orientation(data)](PICTURE), expected)
                assert boxes.size(data) == (64, 48)
                for length in range(0, len(data), 7):
                    assert 1 <= boxes.orientation(data[:length]) <= 8


@pytest.mark.parametrize("orientation", TURNED)
def test_avif_as_pillow_writes_it(orientation):
    """From EXIF Pillow makes `irot` and `imir`; what is shown must be what EXIF said."""
    image_module = pytest.importorskip("PIL.Image")
    if formats.unread_here(formats.AVIF):
        pytest.skip("this OpenCV reads no AVIF")
    rows, columns = np.mgrid[0:48, 0:64]
    rgb = np.stack([np.where(columns < 32, 200, 40), np.where(rows < 24, 180, 30), rows * 0 + 90], 2).astype(np.uint8)
    alpha = np.where(rows < 24, 255, 51)[:, :, np.newaxis].astype(np.uint8)
    on_white = np.rint(rgb * (alpha / 255) + 255 * (1 - alpha / 255))
    for picture, expected in ((rgb, rgb), (np.dstack([rgb, alpha]), on_white)):
        file = io.BytesIO()
        options = {"quality": 100, "subsampling": "4:4:4", "speed": 10}
        try:
            image_module.fromarray(picture).save(file, "AVIF", exif=exif(orientation, "<"), **options)
        except (KeyError, OSError):
            pytest.skip("this Pillow writes no AVIF")
        pixels = decode(file.getvalue())[:, :, ::-1].astype(int)
        assert np.abs(pixels - TURNED[orientation](expected)).max() <= 3


def test_avif_of_ten_bits_with_transparency():
    assert boxes.bits(AVIF_10) == 10
    if formats.unread_here(formats.AVIF):
        with pytest.raises(ImageError, match=r"AVIF is not read by this OpenCV, .* \(4.8 and later can\): convert it"):
            decode(AVIF_10)
        return
    pixels = decode(AVIF_10)[:, :, ::-1]
    for at, expected in (((4, 4), (199, 100, 50)), ((4, 12), (25, 249, 150)), ((12, 4), (227, 177, 153))):
        assert np.abs(pixels[at].astype(int) - expected).max() <= 4


def test_heic():
    """Through pillow-heif; where that is not installed the message says so."""
    assert formats.format_of(HEIC) is formats.HEIC
    assert boxes.size(HEIC) == (96, 64)
    if formats.unread_here(formats.HEIC):
        with pytest.raises(
            ImageError, match="it is HEIC; HEIC is read where pillow-heif is installed: pip install pillow-heif, or"
        ):
            decode(HEIC)
        return
    pixels = decode(HEIC)[:, :, ::-1]
    assert pixels.shape == (96, 64, 3)
    assert np.abs(pixels[10, 30].astype(int) - (200, 100, 50)).max() <= 6
    assert np.abs(pixels[80, 30].astype(int) - (25, 250, 150)).max() <= 6
    for length in (100, 400, len(HEIC) - 60):
        with pytest.raises(ImageError):
            decode(HEIC[:length])

#!/usr/bin/env python3
"""Makes tests/data/odd: small image files of every kind, and odd.jsonl: what Pillow 13 makes of them.

Needs: pip install pillow numpy.    odd_images.py FOLDER

Also tiny_hwc.npy and tiny_chw.npy, the bytes 0 .. 23 as numpy.save writes a (2, 4, 3) image and its planes.
A record has "file" and, for "L", "RGB" and "own" (the file's own of L, RGB, RGBA: grey with alpha and palettes with
transparency are RGBA), {"size", "channels", "sha"}: the first 16 digits of the sha256 of the pixels; or "error", what Pillow raises.
"""
import hashlib, io, json, os, struct, sys, warnings, zlib
import numpy as np
from PIL import Image

warnings.filterwarnings("ignore")
rng = np.random.default_rng(5)
W, H = 29, 19


def picture(h, w, c):
    """Smooth with some noise: compresses, and shows every mistake."""
    y, x, k = np.arange(h)[:, None, None], np.arange(w)[None, :, None], np.arange(c)[None, None, :]
    a = 127 + 80 * np.sin(x / 5 + k) + 40 * np.cos(y / 3 - 2 * k) + rng.integers(-7, 8, (h, w, c))
    return np.clip(a, 0, 255).astype(np.uint8)


# ---- PNG by hand: every depth, colour type and order ----

def chunk(kind, data, crc=None):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data) if crc is None else crc)


def packed_rows(samples, depth):
    """Rows of samples (h, w, c), each with filter type 0 before it."""
    out = b""
    for row in samples:
        flat = row.reshape(-1).astype(np.uint32)
        if depth == 16:
            data = flat.astype(">u2").tobytes()
        else:
            bits = "".join(format(v, f"0{depth}b") for v in flat)
            bits += "0" * (-len(bits) % 8)
            data = bytes(int(bits[i:i + 8], 2) for i in range(0, len(bits), 8))
        out += b"\0" + data
    return out


def png(samples, depth, colour, before=(), interlaced=False, idat_crc=None, ihdr_crc=None):
    h, w = samples.shape[:2]
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)] if interlaced else [(0, 0, 1, 1)]
    parts = (samples[y::dy, x::dx] for y, x, dy, dx in passes)
    data = zlib.compress(b"".join(packed_rows(p, depth) for p in parts if p.size), 9)
    head = struct.pack(">IIBBBBB", w, h, depth, colour, 0, 0, int(interlaced))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head, ihdr_crc) + b"".join(chunk(*c) for c in before)
            + chunk(b"IDAT", data, idat_crc) + chunk(b"IEND", b""))


def samples(depth, c, h=H, w=W):
    if depth == 16:
        return picture(h, w, c).astype(np.uint32) * 257 + rng.integers(0, 200, (h, w, c))
    return (picture(h, w, c) >> (8 - depth)).astype(np.uint32)


def pngs():
    for depth in (1, 2, 4, 8, 16):
        yield f"grey{depth}.png", png(samples(depth, 1), depth, 0)
        yield f"grey{depth}_adam7.png", png(samples(depth, 1), depth, 0, interlaced=True)
    dark = rng.integers(0, 400, (H, W, 1)).astype(np.uint32)
    yield "grey16_dark.png", png(dark, 16, 0)
    yield "grey8_trns.png", png(samples(8, 1), 8, 0, [(b"tRNS", struct.pack(">H", 127))])
    yield "grey16_trns.png", png(dark, 16, 0, [(b"tRNS", struct.pack(">H", 127))])
    for depth in (8, 16):
        yield f"greyalpha{depth}.png", png(samples(depth, 2), depth, 4)
        yield f"rgb{depth}.png", png(samples(depth, 3), depth, 2)
        yield f"rgb{depth}_trns.png", png(samples(depth, 3), depth, 2, [(b"tRNS", struct.pack(">HHH", 5, 100, 200))])
        yield f"rgba{depth}.png", png(samples(depth, 4), depth, 6)
        yield f"rgba{depth}_adam7.png", png(samples(depth, 4), depth, 6, interlaced=True)
    for depth in (1, 2, 4, 8):
        colours = (b"PLTE", picture(1, 1 << depth, 3).tobytes())
        index = samples(depth, 1)
        yield f"palette{depth}.png", png(index, depth, 3, [colours])
        yield f"palette{depth}_trns.png", png(index, depth, 3, [colours, (b"tRNS", bytes(range(1, 1 + (1 << depth) // 2)))])
        yield f"palette{depth}_adam7.png", png(index, depth, 3, [colours], interlaced=True)
    yield "palette_one_clear.png", png(samples(4, 1), 4, 3, [(b"PLTE", picture(1, 16, 3).tobytes()), (b"tRNS", b"\xff\xff\xff\0\xff")])
    yield "palette_short.png", png(samples(4, 1), 4, 3, [(b"PLTE", picture(1, 5, 3).tobytes())])
    yield "palette_short_trns.png", png(samples(4, 1), 4, 3, [(b"PLTE", picture(1, 5, 3).tobytes()), (b"tRNS", b"\x10\x20")])
    yield "gamma.png", png(samples(8, 3), 8, 2, [(b"gAMA", struct.pack(">I", 90000)), (b"sBIT", b"\5\6\5"), (b"bKGD", bytes(6))])
    for w, h in ((1, 1), (3, 5), (1, 9)):
        yield f"tiny{w}x{h}.png", png(samples(8, 3, h, w), 8, 2)
        yield f"tiny{w}x{h}_adam7.png", png(samples(8, 3, h, w), 8, 2, interlaced=True)
    yield "wide.png", png(np.arange(20000, dtype=np.uint32).reshape(1, 20000, 1) % 251, 8, 0)
    yield "tall.png", png(np.arange(20000, dtype=np.uint32).reshape(20000, 1, 1) % 251, 8, 0)
    whole = png(samples(8, 3), 8, 2)
    yield "png_cut.png", whole[:len(whole) // 2]
    yield "png_cut_in_header.png", whole[:20]
    yield "png_without_end.png", whole[:-12]
    yield "png_bad_crc_pixels.png", png(samples(8, 3), 8, 2, idat_crc=1)
    yield "png_bad_crc_header.png", png(samples(8, 3), 8, 2, ihdr_crc=1)
    yield "png_named.jpg", whole
    yield "png_no_pixels.png", whole.replace(struct.pack(">II", W, H), struct.pack(">II", W, 0), 1)
    huge = struct.pack(">IIBBBBB", 20000, 20000, 8, 2, 0, 0, 0)
    yield "png_huge.png", b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", huge) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    frames = [Image.fromarray(picture(H, W, 4)) for _ in range(3)]
    yield "animated.png", saved(frames[0], "PNG", save_all=True, append_images=frames[1:])
    yield "animated_default.png", saved(frames[0], "PNG", save_all=True, append_images=frames[1:], default_image=True)


# ---- by Pillow's own writers ----

def saved(im, kind, **how):
    f = io.BytesIO()
    im.save(f, kind, **how)
    return f.getvalue()


def jpegs():
    rgb, grey, cmyk = (Image.fromarray(picture(H * 3, W * 3, c)[:, :, 0] if c == 1 else picture(H * 3, W * 3, c), m)
                       for c, m in ((3, "RGB"), (1, "L"), (4, "CMYK")))
    for s, name in ((0, "444"), (1, "422"), (2, "420")):
        yield f"jpeg{name}.jpg", saved(rgb, "JPEG", subsampling=s, quality=85)
        yield f"jpeg{name}_progressive.jpg", saved(rgb, "JPEG", subsampling=s, quality=70, progressive=True)
    for progressive in (False, True):
        kind = "_progressive" if progressive else ""
        data = saved(rgb, "JPEG", progressive=progressive)
        yield f"jpeg_cut{kind}.jpg", data[:len(data) * 2 // 3]
        yield f"jpeg_without_end{kind}.jpg", data[:-2]
        yield f"jpeg_and_more{kind}.jpg", data + b"and more"
        yield f"jpeg_damaged{kind}.jpg", data[:-300] + bytes(40) + data[-260:]
    yield "jpeg_grey.jpg", saved(grey, "JPEG")
    yield "jpeg_cmyk.jpg", saved(cmyk, "JPEG", quality=90)
    yield "jpeg_cmyk_progressive.jpg", saved(cmyk, "JPEG", quality=90, progressive=True)
    data = saved(cmyk, "JPEG", quality=90)
    at = data.index(b"Adobe")
    yield "jpeg_ycck.jpg", data[:at + 11] + b"\2" + data[at + 12:]
    yield "jpeg_cmyk_plain.jpg", data[:at - 4] + data[at + 12:]
    yield "jpeg_rgb.jpg", saved(rgb, "JPEG", keep_rgb=True)
    yield "jpeg_restart.jpg", saved(rgb, "JPEG", restart_marker_blocks=2)
    exif = Image.Exif()
    exif[0x112] = 6
    yield "jpeg_exif_rotated.jpg", saved(rgb, "JPEG", exif=exif)
    yield "jpeg_1x1.jpg", saved(rgb.crop((0, 0, 1, 1)), "JPEG")
    yield "jpeg_17x1.jpg", saved(rgb.crop((0, 0, 17, 1)), "JPEG")
    data = saved(rgb, "JPEG")
    at = data.index(b"\xff\xc0")
    yield "jpeg_huge.jpg", data[:at + 5] + struct.pack(">HH", 65000, 65000) + data[at + 9:]
    yield "jpeg_no_rows.jpg", data[:at + 5] + struct.pack(">HH", 0, 50) + data[at + 9:]
    yield "jpeg_12bit.jpg", data[:at + 4] + b"\x0c" + data[at + 5:]
    yield "jpeg_header_only.jpg", data[:at]


def webps():
    for c, name in ((3, "rgb"), (4, "rgba")):
        im = Image.fromarray(picture(H, W, c))
        yield f"webp_{name}.webp", saved(im, "WEBP", quality=70)
        yield f"webp_{name}_lossless.webp", saved(im, "WEBP", lossless=True, exact=True)
        more = [Image.fromarray(picture(H, W, c)) for _ in range(2)]
        yield f"webp_{name}_animated.webp", saved(im, "WEBP", save_all=True, append_images=more, duration=50, background=(9, 8, 7, 255))
        sparse = Image.new("RGBA", (W, H))
        sparse.paste(im.crop((0, 0, 9, 7)), (11, 6))
        yield f"webp_{name}_animated_sparse.webp", saved(sparse, "WEBP", save_all=True, append_images=more, lossless=True)
    data = saved(im, "WEBP", quality=70)
    yield "webp_cut.webp", data[:len(data) // 2]
    yield "webp_header_only.webp", data[:20]
    yield "webp_1x1.webp", saved(im.crop((0, 0, 1, 1)), "WEBP")


def others():
    yield "empty.png", b""
    yield "text.jpg", b"not an image\n"


# ---- what Pillow makes of them ----

def own_mode(im):
    if im.mode in ("1", "L", "I;16"):
        return im.convert("L")
    if im.mode == "LA":
        return im.convert("RGBA")
    if im.mode == "CMYK":
        return im.convert("RGB")
    return im.convert() if im.mode == "P" else im


def seal(path, mode):
    im = Image.open(path)
    im = own_mode(im) if mode == "own" else im.convert(mode)
    return {"size": list(im.size), "channels": len(im.getbands()), "sha": hashlib.sha256(im.tobytes()).hexdigest()[:16]}


def main():
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    tiny = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    np.save(os.path.join(folder, "tiny_hwc.npy"), tiny)
    np.save(os.path.join(folder, "tiny_chw.npy"), np.ascontiguousarray(tiny.transpose(2, 0, 1)))
    with open(os.path.join(folder, "odd.jsonl"), "w") as out:
        for make in (pngs, jpegs, webps, others):
            for name, data in make():
                path = os.path.join(folder, name)
                with open(path, "wb") as f:
                    f.write(data)
                record = {"file": name}
                try:
                    record.update({m: seal(path, m) for m in ("L", "RGB", "own")})
                except Exception as e:
                    record = {"file": name, "error": f"{type(e).__name__}: {e}".replace(path, name)}
                out.write(json.dumps(record) + "\n")


main()

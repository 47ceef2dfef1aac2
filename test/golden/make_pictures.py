"""Writes data/pictures/: small image files, and what Pillow makes of them, for test/runtime/node/data.

    pip install -r test/golden/requirements.txt && python test/golden/make_pictures.py

Every picture is loaded, turned as EXIF says, put on white, made RGB (or grey), and cropped as ADM's training data was: halved
with a box filter while both sides stay at least the size, scaled bicubically until the short side fits, cropped at the centre.
"""

import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

OUT = Path(__file__).parent / "data" / "pictures"


def scene(width, height, seed):
    """Smooth colours with noise and hard edges: what resampling gets wrong shows."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    waves = [np.sin(x * a + y * b + c) for a, b, c in rng.uniform(0.05, 1.2, (3, 3))]
    image = 127 + 90 * np.stack(waves, -1) + rng.normal(0, 20, (height, width, 3))
    image[(x // 7 + y // 5) % 5 == 0] = rng.uniform(0, 255, 3)
    return np.uint8(np.clip(image, 0, 255))


def adm_crop(image, size):
    while min(image.size) >= 2 * size:
        image = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
    scale = size / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC)
    left, top = (image.width - size) // 2, (image.height - size) // 2
    return image.crop((left, top, left + size, top + size))


def load(path, grey):
    image = ImageOps.exif_transpose(Image.open(path))
    if image.mode == "I;16":
        image = Image.fromarray(np.uint8(np.asarray(image) >> 8))
    if "A" in image.mode or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("RGB")
    return image.convert("L") if grey else image


def write_pictures():
    save = lambda name, image, **options: image.save(OUT / name, **options)
    rgb = lambda width, height, seed: Image.fromarray(scene(width, height, seed))
    save("wide.png", rgb(97, 61, 1))
    save("tall.png", rgb(45, 140, 2))
    save("odd.png", rgb(131, 127, 3))
    save("small.png", rgb(20, 13, 4))
    save("same.png", rgb(32, 32, 5))
    save("sliver.png", rgb(3, 90, 6))
    save("grey.png", rgb(70, 50, 7).convert("L"))
    save("palette.png", rgb(60, 40, 8).quantize(16))
    deep = np.random.default_rng(9).integers(0, 65536, (48, 40), dtype=np.uint16)
    save("deep.png", Image.fromarray(deep))
    alpha = scene(66, 44, 10)
    save("alpha.png", Image.fromarray(np.concatenate([alpha, scene(66, 44, 11)[:, :, :1]], -1)))
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    save("turned.jpg", rgb(80, 50, 12), quality=95, subsampling=0, exif=exif)
    save("grey.jpg", rgb(50, 70, 13).convert("L"), quality=95)
    save("photo.jpg", rgb(90, 64, 14), quality=90)
    save("plain.webp", rgb(64, 48, 15), lossless=True)
    save("cmyk.jpg", Image.new("CMYK", (40, 40), (0, 0, 0, 0)), quality=95)  # no ink


def main():
    OUT.mkdir(exist_ok=True)
    write_pictures()
    cases = {}
    for path in sorted(p for p in OUT.iterdir() if p.suffix != ".json"):
        for size, grey in ((32, False), (28, True)):
            image = np.asarray(adm_crop(load(path, grey), size)).reshape(size, size, -1)
            cases[f"{path.name} {image.shape[2]}x{size}x{size}"] = image.transpose(2, 0, 1).tobytes().hex()
    (OUT / "expected.json").write_text(json.dumps(cases, indent=1))


if __name__ == "__main__":
    main()

"""Pictures for `media-thumbnails.spec.ts`, and a second opinion on what became of them.

    thumbnails.py draw FOLDER       writes the pictures to upload
    thumbnails.py draw-long FOLDER  writes pictures that are much wider than high, or higher than wide
    thumbnails.py measure FOLDER    prints the sides of the thumbnails in it as JSON
    thumbnails.py judge FOLDER      compares the thumbnails in it with Pillow's own, prints JSON, writes a contact sheet
"""

import json
import pathlib
import sys

import numpy as np
from PIL import Image, ImageDraw, ImageOps

WIDTH, HEIGHT = 1600, 1000


def texture(seed: int) -> np.ndarray:
    """Shades that vary at every scale, as in a landscape."""
    rng = np.random.default_rng(seed)
    total = np.zeros((HEIGHT, WIDTH))
    for octave in range(1, 9):
        cells = rng.random((2**octave, 2**octave)).astype(np.float32)
        layer = Image.fromarray(cells).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
        total += np.asarray(layer) / 1.7**octave
    return (total - total.min()) / (total.max() - total.min())


def landscape(seed: int) -> Image.Image:
    red, green, blue = (texture(seed + part) for part in range(3))
    light = 0.4 + 0.6 * texture(seed + 3)
    pixels = np.stack([red * light, green * light, 0.3 + 0.7 * blue * light], axis=2)
    image = Image.fromarray((255 * pixels.clip(0, 1)).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    draw.ellipse((1000, 80, 1300, 380), fill=(250, 230, 150))
    draw.polygon([(0, 1000), (500, 400), (900, 1000)], fill=(60, 70, 80))
    return image


def page() -> Image.Image:
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    draw = ImageDraw.Draw(image)
    for line in range(24):
        draw.text((60, 30 + 40 * line), "The tern flies from pole to pole and back again, every year. " * 3, fill="black", font_size=26)
    return image


def draw(folder: pathlib.Path) -> None:
    landscape(1).save(folder / "photo.jpg", quality=92)
    landscape(11).save(folder / "photo.webp", quality=90)
    page().save(folder / "page.png")
    landscape(21).quantize(64).save(folder / "flat.gif")
    exif = Image.Exif()
    exif[0x0112] = 6
    landscape(31).save(folder / "turned.jpg", quality=92, exif=exif)
    glass = landscape(41).convert("RGBA")
    mask = Image.new("L", glass.size, 0)
    ImageDraw.Draw(mask).ellipse((200, 100, 1400, 900), fill=255)
    glass.putalpha(mask)
    glass.save(folder / "glass.png")


def draw_long(folder: pathlib.Path) -> None:
    long = landscape(51).resize((4000, 500))
    long.save(folder / "wide.jpg", quality=92)
    long.transpose(Image.Transpose.ROTATE_90).save(folder / "tall.jpg", quality=92)


def measure(folder: pathlib.Path) -> None:
    print(json.dumps({path.name: Image.open(path).size for path in folder.glob("*--*")}))


def shown(image: Image.Image) -> Image.Image:
    """On grey, where it can be seen through."""
    image = ImageOps.exif_transpose(image).convert("RGBA")
    ground = Image.new("RGBA", image.size, (128, 128, 128, 255))
    return Image.alpha_composite(ground, image).convert("RGB")


def means(values: np.ndarray, window: int = 7) -> np.ndarray:
    sums = np.pad(values, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    w = window
    return (sums[w:, w:] - sums[:-w, w:] - sums[w:, :-w] + sums[:-w, :-w]) / w**2


def similarity(one: Image.Image, other: Image.Image) -> float:
    """Mean structural similarity of the brightness, in windows of seven pixels."""
    a, b = (np.asarray(image.convert("L"), dtype=np.float64) for image in (one, other))
    mean_a, mean_b = means(a), means(b)
    var_a, var_b = means(a * a) - mean_a**2, means(b * b) - mean_b**2
    both = means(a * b) - mean_a * mean_b
    c1, c2 = 6.5025, 58.5225
    return float(np.mean((2 * mean_a * mean_b + c1) * (2 * both + c2) / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))))


def judge(folder: pathlib.Path) -> None:
    found, tiles = [], []
    for path in sorted(folder.glob("*--*")):
        source, rest = path.name.split("--")
        width, height, method, _ = rest.split("-")
        made = Image.open(path)
        original = shown(Image.open(folder / source))
        wish = (int(width), int(height))
        size = wish
        if method == "scale":
            factor = max(wish[0] / original.width, wish[1] / original.height)
            size = (round(original.width * factor), round(original.height * factor))
        reference = ImageOps.fit(original, size, Image.Resampling.LANCZOS)
        alike = similarity(shown(made), reference) if made.size == size else 0
        found.append({"file": path.name, "format": made.format, "size": made.size, "expected": size, "bytes": path.stat().st_size,
                      "exif": len(made.getexif()), "similarity": round(alike, 4)})
        tiles.append((path.name, shown(made), reference))
    sheet(tiles).save(folder / "contact-sheet.png")
    print(json.dumps(found))


def sheet(tiles: list) -> Image.Image:
    tiles = [tile for tile in tiles if "-320-" in tile[0] or "--320-" in tile[0] or "--96-" in tile[0]]
    cell_w, cell_h, columns = 860, 300, 2
    rows = -(-len(tiles) // columns)
    image = Image.new("RGB", (cell_w * columns, cell_h * rows), "white")
    text = ImageDraw.Draw(image)
    for at, (name, made, reference) in enumerate(tiles):
        left, top = cell_w * (at % columns), cell_h * (at // columns)
        text.text((left + 4, top + 4), f"{name} (left: ours, right: Pillow)", fill="black")
        image.paste(made, (left + 4, top + 24))
        image.paste(reference, (left + 432, top + 24))
    return image


if __name__ == "__main__":
    {"draw": draw, "draw-long": draw_long, "measure": measure, "judge": judge}[sys.argv[1]](pathlib.Path(sys.argv[2]))

"""Draws handwritten-looking digits: strokes on the unit square, distorted and inked to 28x28."""

import numpy

SIDE = 28


def arc(x, y, radius_x, radius_y, begin, end):
    """Points on an ellipse; degrees, 0 to the right, growing clockwise as y points down."""
    angles = numpy.radians(numpy.linspace(begin, end, 14))
    return numpy.stack([x + radius_x * numpy.cos(angles), y + radius_y * numpy.sin(angles)], 1)


def line(*points):
    return numpy.array(points, dtype=float)


def joined(*parts):
    return numpy.concatenate(parts)


# Each digit has several ways of being written, each a list of strokes; x is right and y is down.
VARIANTS = [
    [  # 0: an oval, a narrow oval, one left open at the top
        [arc(0.50, 0.50, 0.26, 0.38, -90, 270)],
        [arc(0.50, 0.50, 0.18, 0.38, -90, 270)],
        [arc(0.50, 0.50, 0.25, 0.36, -60, 280)],
    ],
    [  # 1: a bar, a bar with a flag, a bar with a flag and a foot
        [line((0.50, 0.12), (0.50, 0.88))],
        [line((0.33, 0.30), (0.52, 0.12), (0.52, 0.88))],
        [line((0.36, 0.27), (0.52, 0.13), (0.52, 0.87)), line((0.34, 0.87), (0.70, 0.87))],
        [line((0.60, 0.12), (0.42, 0.88))],
    ],
    [  # 2: straight foot, looped foot, angular
        [joined(arc(0.49, 0.34, 0.23, 0.21, -170, 40), line((0.26, 0.86), (0.76, 0.86)))],
        [joined(arc(0.48, 0.33, 0.22, 0.20, -160, 50), arc(0.36, 0.78, 0.10, 0.09, 60, 300),
                line((0.58, 0.85), (0.78, 0.82)))],
        [line((0.26, 0.16), (0.72, 0.16), (0.70, 0.42), (0.27, 0.85), (0.75, 0.85))],
    ],
    [  # 3: two bows, a flat top, a small waist
        [joined(arc(0.47, 0.31, 0.22, 0.19, -150, 80), arc(0.46, 0.68, 0.26, 0.20, -80, 150))],
        [joined(line((0.28, 0.14), (0.72, 0.14), (0.48, 0.42)),
                arc(0.46, 0.65, 0.25, 0.23, -80, 150))],
        [joined(arc(0.46, 0.32, 0.20, 0.20, -130, 60), line((0.45, 0.50)),
                arc(0.46, 0.68, 0.23, 0.19, -60, 140))],
    ],
    [  # 4: open, closed, and with the bar short
        [line((0.32, 0.13), (0.26, 0.56), (0.76, 0.56)), line((0.63, 0.14), (0.60, 0.88))],
        [line((0.60, 0.88), (0.60, 0.12), (0.22, 0.62), (0.78, 0.62))],
        [joined(line((0.30, 0.16), (0.28, 0.40)), arc(0.45, 0.42, 0.17, 0.12, 180, 20)),
         line((0.66, 0.14), (0.62, 0.88))],
    ],
    [  # 5: two strokes, one stroke, rounded
        [joined(line((0.32, 0.14), (0.30, 0.46)), arc(0.46, 0.64, 0.25, 0.23, -120, 150)),
         line((0.32, 0.14), (0.72, 0.14))],
        [joined(line((0.72, 0.14), (0.34, 0.14), (0.31, 0.48)),
                arc(0.45, 0.65, 0.25, 0.22, -110, 140))],
        [joined(line((0.70, 0.16), (0.40, 0.16), (0.33, 0.43), (0.58, 0.43)),
                arc(0.50, 0.64, 0.21, 0.21, -60, 150))],
    ],
    [  # 6: curved back, straight back, wide
        [joined(arc(0.64, 0.52, 0.36, 0.40, -100, -180), arc(0.50, 0.67, 0.22, 0.20, -180, 180))],
        [joined(line((0.56, 0.12), (0.32, 0.58)), arc(0.49, 0.69, 0.19, 0.18, -160, 190))],
        [joined(arc(0.70, 0.50, 0.42, 0.36, -110, -190), arc(0.52, 0.66, 0.25, 0.21, 170, -170))],
    ],
    [  # 7: plain, crossed, with a serif
        [line((0.25, 0.15), (0.74, 0.15), (0.44, 0.88))],
        [line((0.25, 0.15), (0.74, 0.15), (0.42, 0.88)), line((0.38, 0.50), (0.70, 0.50))],
        [line((0.26, 0.28), (0.27, 0.16), (0.74, 0.16), (0.56, 0.46), (0.48, 0.88))],
    ],
    [  # 8: two rings, a figure drawn in one go, a small head
        [arc(0.50, 0.31, 0.19, 0.18, 90, 450), arc(0.50, 0.68, 0.23, 0.20, -90, 270)],
        [joined(arc(0.50, 0.32, 0.20, 0.18, -30, -240), arc(0.50, 0.68, 0.22, 0.19, -60, 250),
                line((0.66, 0.24)))],
        [arc(0.52, 0.29, 0.14, 0.16, 90, 450), arc(0.49, 0.67, 0.20, 0.21, -90, 270)],
    ],
    [  # 9: straight leg, curved leg, hooked leg
        [joined(arc(0.48, 0.33, 0.20, 0.20, 0, -360), line((0.68, 0.33), (0.64, 0.88)))],
        [joined(arc(0.48, 0.32, 0.21, 0.19, 0, -360), arc(0.38, 0.46, 0.30, 0.42, -10, 80))],
        [joined(arc(0.50, 0.32, 0.20, 0.19, 10, -350), line((0.69, 0.68)),
                arc(0.50, 0.70, 0.19, 0.17, 0, 130))],
    ],
]


def distorted(strokes, source):
    """The strokes with wobbling points, then turned, slanted, stretched and moved as a whole."""
    angle = numpy.radians(source.normal(0, 9))
    slant, stretch = source.normal(0, 0.18), source.uniform(0.72, 1.05, 2)
    cosine, sine = numpy.cos(angle), numpy.sin(angle)
    turn = numpy.array([[cosine, -sine], [sine, cosine]])
    matrix = turn @ numpy.array([[1, -slant], [0, 1]]) * stretch
    shift = source.normal(0, 0.045, 2) + 0.5
    # A slow wave bends the whole digit, as a hand would; the jitter moves single points.
    wave, phase = source.normal(0, 0.035, 2), source.uniform(0, 2 * numpy.pi, 2)
    result = []
    for points in strokes:
        bent = points + wave * numpy.sin(5 * points[:, ::-1] + phase)
        bent = bent + source.normal(0, 0.012, points.shape)
        result.append((bent - 0.5) @ matrix.T + shift)
    return result


def inked(strokes, source):
    """28x28 bytes, white on black: each pixel's ink falls off with its distance to a stroke."""
    begins = numpy.concatenate([points[:-1] for points in strokes]) * SIDE
    ends = numpy.concatenate([points[1:] for points in strokes]) * SIDE
    centre = numpy.arange(SIDE) + 0.5
    pixels = numpy.stack(numpy.meshgrid(centre, centre), -1).reshape(-1, 1, 2)
    along = ends - begins
    share = ((pixels - begins) * along).sum(-1) / numpy.maximum((along**2).sum(-1), 1e-9)
    nearest = begins + numpy.clip(share, 0, 1)[..., None] * along
    distance = numpy.sqrt(((pixels - nearest) ** 2).sum(-1).min(1))
    # The pen's half width and the width over which its edge fades, in pixels: thickness and blur.
    half_width, fade = source.uniform(0.5, 1.6), source.uniform(0.5, 1.5)
    ink = 1 / (1 + numpy.exp(numpy.clip((distance - half_width) * 4 / fade, -30, 30)))
    ink = ink * source.uniform(0.65, 1.0) + source.normal(0, source.uniform(0.0, 0.10), ink.shape)
    return numpy.clip(numpy.round(ink * 255), 0, 255).astype(numpy.uint8)


def draw(source, count):
    """Returns images [count, 784] and labels [count], both bytes; digits come in random order."""
    labels = source.integers(0, 10, count).astype(numpy.uint8)
    images = numpy.empty((count, SIDE * SIDE), numpy.uint8)
    for index, label in enumerate(labels):
        ways = VARIANTS[label]
        strokes = ways[source.integers(len(ways))]
        images[index] = inked(distorted(strokes, source), source)
    return images, labels

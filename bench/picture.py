"""The picture: one panel a workload, two bars an engine (one thread, two threads), as SVG."""

import html
import math

from medians import ENGINES, name_of

COLUMNS = 3
PANEL_WIDTH = 400
LABEL_WIDTH = 110
VALUE_WIDTH = 58  # right of the longest bar, for its figure
BAR, BAR_GAP, ENGINE_GAP = 10, 2, 8
TITLE_HEIGHT, AXIS_HEIGHT, MARGIN = 24, 26, 16
COLOURS = {"tuff": "#e4572e", "lmdb": "#3a86c8", "rocksdb": "#4c9f70"}

STYLE = """
  text { font: 11px system-ui, 'DejaVu Sans', sans-serif; fill: #222; }
  .head { font-size: 15px; font-weight: bold; }
  .title { font-size: 13px; font-weight: bold; }
  .tick { fill: #666; font-size: 10px; }
  .paper { fill: #fff; }
  .grid { stroke: #ddd; stroke-width: 1; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6e6e6; }
    .tick { fill: #a8a8a8; }
    .paper { fill: #16181d; }
    .grid { stroke: #3a3d45; }
  }
"""


def short(value):
    for size, prefix in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g} {prefix}"
    return f"{value:.3g}"


def round_step(highest, most=4):
    """1, 2 or 5 times a power of ten, so that at most so many steps reach `highest`."""
    step = 10.0 ** math.floor(math.log10(highest / most))
    return next(step * factor for factor in (1, 2, 5, 10) if step * factor * most >= highest)


def text(x, y, words, kind="", anchor="start"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">'
            f"{html.escape(words)}</text>")


def panel_height():
    return TITLE_HEIGHT + len(ENGINES) * (2 * BAR + BAR_GAP + ENGINE_GAP) + AXIS_HEIGHT


def panel(medians, workload, left, top):
    values = {(engine, threads): medians.get("main", threads, workload, engine)
              for engine in ENGINES for threads in (1, 2)}
    highest = max(value for value in values.values() if value)
    step = round_step(highest)
    scale = (PANEL_WIDTH - LABEL_WIDTH - VALUE_WIDTH) / highest
    zero = left + LABEL_WIDTH
    bottom = top + panel_height() - AXIS_HEIGHT
    parts = [text(left, top + 13, f"{workload} (operations/s)", "title")]
    for i in range(math.floor(highest / step) + 1):
        x = zero + i * step * scale
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top + TITLE_HEIGHT - 4}" '
                     f'y2="{bottom}" class="grid"/>')
        parts.append(text(x, bottom + 13, short(i * step) if i else "0", "tick", "middle"))
    y = top + TITLE_HEIGHT
    for engine in ENGINES:
        parts.append(text(zero - 6, y + BAR + 5, name_of(engine), anchor="end"))
        for threads in (1, 2):
            if not any(values[other, threads] for other in ENGINES):
                y += BAR + BAR_GAP
                continue
            value = values[engine, threads]
            if value:
                opacity = 1 if threads == 1 else 0.6
                parts.append(f'<rect x="{zero}" y="{y}" width="{value * scale:.1f}" '
                             f'height="{BAR}" fill="{COLOURS[engine[0]]}" opacity="{opacity}"/>')
            parts.append(text(zero + (value or 0) * scale + 4, y + BAR - 1,
                              short(value) if value else "not measured", "tick"))
            y += BAR + BAR_GAP
        y += ENGINE_GAP - BAR_GAP
    return parts


def draw(medians):
    """The SVG's text."""
    workloads = list(dict.fromkeys(
        workload for threads in (1, 2) for workload in medians.workloads("main", threads)))
    rows = max(1, math.ceil(len(workloads) / COLUMNS))
    width = COLUMNS * (PANEL_WIDTH + MARGIN) + MARGIN
    first = 58
    height = first + rows * (panel_height() + MARGIN)
    some = next((row for (where, _), row in medians.rows.items() if where[0] == "main"), {})
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
             f'width="{width}" height="{height}">', f"<style>{STYLE}</style>",
             f'<rect width="{width}" height="{height}" class="paper"/>',
             text(MARGIN, 24, f"{some.get('records', 0):,} records of ({some.get('key_bytes')} B, "
                  f"{some.get('value_bytes')} B), every put durable on return", "head"),
             text(MARGIN, 42, "Upper bar: one thread; lower bar: two. More is better. "
                  f"Debian builds RocksDB with assertions. {medians.machine.get('cpu', '')}, "
                  f"{medians.machine.get('directory', '')}, forced CACHE_LINE.", "tick")]
    for i, workload in enumerate(workloads):
        parts += panel(medians, workload, MARGIN + i % COLUMNS * (PANEL_WIDTH + MARGIN),
                       first + i // COLUMNS * (panel_height() + MARGIN))
    return "\n".join([*parts, "</svg>"]) + "\n"

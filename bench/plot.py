"""plot.py - hand-over latencies as a PNG, by whatever can draw here"""

import random
import shutil
import subprocess

from rows import quantile

COLOURS = ("#c2410c", "#64748b", "#94a3b8", "#0f766e", "#6d28d9")
TITLE = "From the release of a lock to the next holder"
LABEL = "milliseconds (logarithmic)"


def points(values, row):
    """Dots scattered about the row; a log scale has no room for zero."""
    scatter = random.Random(row)
    return [(max(value, 0.01), row + scatter.uniform(-0.25, 0.25))
            for value in values]


def draw(path, took):
    """took: {name: [ms, ...]}.  Returns what drew it, or None."""
    # The first one on top.
    rows = list(enumerate(reversed(took.items()), 1))
    try:
        with_matplotlib(path, rows)
        return "matplotlib"
    except ImportError:
        pass
    if shutil.which("gnuplot"):
        subprocess.run(["gnuplot"], input=gnuplot(path, rows), text=True,
                       check=True)
        return "gnuplot"
    return None


def with_matplotlib(path, rows):
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 0.9 + 0.7 * len(rows)))
    for row, (_, values) in rows:
        colour = COLOURS[len(rows) - row]
        axes.scatter(*zip(*points(values, row)), s=12, alpha=0.5,
                     color=colour, linewidths=0)
        middle = quantile(values, 0.5)
        axes.plot([middle] * 2, [row - 0.35, row + 0.35], color=colour)
        axes.text(middle, row + 0.37, f"{middle:.2g} ms", color=colour,
                  ha="center", va="bottom", fontsize=9)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel(LABEL)
    axes.set_yticks([row for row, _ in rows], [name for _, (name, _) in rows])
    axes.set_ylim(0.4, len(rows) + 0.8)
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(left=False)
    axes.set_title(TITLE, loc="left")
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def gnuplot(path, rows):
    lines = [f"set terminal pngcairo size 1080,{110 + 85 * len(rows)} "
             "font 'sans,12'",
             f"set output '{path}'", "set tmargin 4",
             f"set label '{TITLE}' at graph 0,1.06",
             f"set xlabel '{LABEL}'", "set logscale x", "set format x '%g'",
             f"set yrange [0.4:{len(rows) + 0.8}]", "set border 1",
             "set grid xtics", "unset key", "set xtics nomirror",
             "set ytics scale 0 nomirror (" +
             ", ".join(f"'{name}' {row}" for row, (name, _) in rows) + ")"]
    plots = []
    for row, (_, values) in rows:
        colour = COLOURS[len(rows) - row]
        middle = quantile(values, 0.5)
        lines += [f"$data{row} << END",
                  *(f"{x} {y}" for x, y in points(values, row)), "END",
                  f"set arrow from {middle},{row - 0.35} to "
                  f"{middle},{row + 0.35} nohead lw 2 lc rgb '{colour}' front",
                  f"set label '{middle:.2g} ms' at {middle},{row + 0.45} "
                  f"center tc rgb '{colour}'"]
        plots.append(f"$data{row} with points pt 7 ps 0.6 "
                     f"lc rgb '#80{colour[1:]}'")
    return "\n".join(lines + ["plot " + ", ".join(plots)]) + "\n"

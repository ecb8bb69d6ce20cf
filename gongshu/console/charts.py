"""Options for ECharts in the console's colours: pure functions from values to what `ui.echart` takes."""

from collections.abc import Mapping, Sequence
from typing import Any

from gongshu.console.theme import Palette

FONT = 'system-ui, "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif'
Point = tuple[int, float | None]
"""Milliseconds since 1970 (UTC) and a value; None breaks the line."""


def base_options(palette: Palette) -> dict[str, Any]:
    """Return what every chart shares: fonts, colours, no animation (values move, the chart does not)."""
    return {
        "animation": False,
        "textStyle": {"fontFamily": FONT, "color": palette.text},
        "color": list(palette.series),
        "backgroundColor": "transparent",
        "tooltip": {
            "trigger": "axis",
            "backgroundColor": palette.panel,
            "borderColor": palette.line,
            "textStyle": {"color": palette.text, "fontSize": 12},
        },
    }


def time_lines(
    palette: Palette, lines: Mapping[str, Sequence[Point]], *, unit: str = "", is_area: bool = False
) -> dict[str, Any]:
    """Return a chart of values over time, one line a name, in the reader's zone."""
    return base_options(palette) | {
        "grid": {
            "left": 8,
            "right": 16,
            "top": 34 if len(lines) > 1 or unit else 12,
            "bottom": 4,
            "containLabel": True,
        },
        "legend": {
            "show": len(lines) > 1,
            "type": "scroll",
            "top": 0,
            "right": 10,
            "textStyle": {"color": palette.muted},
        },
        "xAxis": _axis(palette, "time") | {"splitLine": {"show": False}},
        "yAxis": _axis(palette, "value")
        | {"scale": not is_area, "name": unit, "nameTextStyle": {"color": palette.muted}},
        "series": [
            {
                "name": name,
                "type": "line",
                "showSymbol": False,
                "lineStyle": {"width": 1.5},
                "data": [list(point) for point in points],
                **({"areaStyle": {"opacity": 0.12}} if is_area else {}),
            }
            for name, points in lines.items()
        ],
    }


def grouped_bars(
    palette: Palette, names: Sequence[str], values: Mapping[str, Sequence[float | None]], *, unit: str
) -> dict[str, Any]:
    """Return a group of bars for each name, one bar a figure; a figure that could not be judged has no bar."""
    return base_options(palette) | {
        "grid": {"left": 8, "right": 12, "top": 52, "bottom": 4, "containLabel": True},
        "legend": {"top": 0, "textStyle": {"color": palette.muted}},
        "xAxis": _axis(palette, "category") | {"data": list(names)},
        "yAxis": _axis(palette, "value")
        | {"max": 100, "axisLabel": {"color": palette.muted, "formatter": "{value}" + unit}},
        "series": [
            {
                "name": figure,
                "type": "bar",
                "barMaxWidth": 26,
                "data": list(row),
                "label": {"show": len(names) <= 4, "position": "top", "color": palette.text, "fontSize": 11},
            }
            for figure, row in values.items()
        ],
    }


def pareto(
    palette: Palette, names: Sequence[str], values: Sequence[float], shares: Sequence[float], *, unit: str, share: str
) -> dict[str, Any]:
    """Return bars in falling order with the running share in per cent above them."""
    return base_options(palette) | {
        "grid": {"left": 8, "right": 8, "top": 34, "bottom": 4, "containLabel": True},
        "xAxis": _axis(palette, "category")
        | {"data": list(names), "axisLabel": {"color": palette.muted, "interval": 0}},
        "yAxis": [
            _axis(palette, "value") | {"name": unit, "nameTextStyle": {"color": palette.muted}},
            _axis(palette, "value")
            | {"max": 100, "name": share, "splitLine": {"show": False}, "nameTextStyle": {"color": palette.muted}},
        ],
        "series": [
            {
                "type": "bar",
                "barMaxWidth": 44,
                "name": unit,
                "data": list(values),
                "itemStyle": {"color": palette.accent},
            },
            {
                "type": "line",
                "name": share,
                "yAxisIndex": 1,
                "data": list(shares),
                "itemStyle": {"color": palette.warn},
                "lineStyle": {"color": palette.warn},
            },
        ],
    }


def _axis(palette: Palette, kind: str) -> dict[str, Any]:
    return {
        "type": kind,
        "axisLine": {"lineStyle": {"color": palette.line}},
        "axisTick": {"show": False},
        "axisLabel": {"color": palette.muted, "hideOverlap": True},
        "splitLine": {"lineStyle": {"color": palette.line, "width": 0.7}},
    }

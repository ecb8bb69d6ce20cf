"""The office's tables as an ERP exports them: orders and materials as CSV, customers as a workbook.

Headings differ on purpose: English, pinyin, Chinese. A few rows are wrong, and each wrong row is in the ground truth
by file, line and kind. Names and identifiers are synthetic and say so.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
from openpyxl import Workbook

from gongshu.packs import Pack
from gongshu.simulate.uscc import make_uscc

CUSTOMERS = 12
ORDERS = 80
_PLACES = ("云岭", "星河", "青梧", "白鹭", "长汀", "金穗", "海岱", "松原", "明湖", "石桥", "南屏", "北固")
_TRADES = ("机床", "泵业", "阀门", "轴承", "液压", "汽配")
_MATERIALS = (
    ("M-100", "合成45号圆钢", "kg", 5200.0),
    ("M-101", "合成铝合金棒", "kg", 1800.0),
    ("M-102", "合成铸铁毛坯", "件", 960.0),
    ("M-200", "合成硬质合金刀片", "片", 420.0),
    ("M-201", "合成切削液", "L", 600.0),
    ("P-001", "合成壳体", "件", 310.0),
    ("P-002", "合成法兰", "件", 520.0),
    ("P-003", "合成轴", "件", 275.0),
)
_PRODUCTS = (("P-001", "186.50"), ("P-002", "97.20"), ("P-003", "142.00"))
ORDER_HEAD = (
    "order_id",
    "customer_id",
    "material_id",
    "quantity",
    "unit",
    "unit_price_cny",
    "order_date",
    "due_date",
    "status",
)


@dataclass(frozen=True, slots=True)
class WrongRow:
    """A planted mistake."""

    file: str
    line: int
    """From 1, as an editor shows it; the heading is line 1."""
    kind: str


def write_erp(folder: Path, *, seed: int, today: date, rules: Pack) -> tuple[WrongRow, ...]:
    """Write the three files and return the mistakes in them.

    Shape: `rules` is the pack `gb-32100`, which makes the customers' identifiers.
    """
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    rows, wrong = make_orders(random, today)
    _write_csv(folder / "orders_synthetic.csv", ORDER_HEAD, rows)
    head = ("wuliao_bianhao", "wuliao_mingcheng", "danwei", "kucun_shuliang", "gengxin_riqi")
    stock = [(*m[:3], round(m[3] * (0.6 + 0.8 * random.random()), 1), today.isoformat()) for m in _MATERIALS]
    _write_csv(folder / "materials_synthetic.csv", head, stock)
    _write_customers(folder / "customers_synthetic.xlsx", rules)
    return wrong


def make_orders(random: np.random.Generator, today: date) -> tuple[list[tuple[object, ...]], tuple[WrongRow, ...]]:
    """Return the orders in the columns of `ORDER_HEAD`, and the four mistakes among them."""
    rows: list[tuple[object, ...]] = []
    for number in range(ORDERS):
        material, price = _PRODUCTS[int(random.integers(len(_PRODUCTS)))]
        ordered = today - timedelta(days=int(random.integers(1, 60)))
        due = ordered + timedelta(days=int(random.integers(10, 45)))
        status = "已完成" if due < today else "生产中"
        customer = f"C-{int(random.integers(CUSTOMERS)) + 1:03d}"
        quantity = int(random.integers(2, 40)) * 10
        rows.append(
            (
                f"SYN-SO-{number + 1:05d}",
                customer,
                material,
                quantity,
                "件",
                price,
                ordered.isoformat(),
                due.isoformat(),
                status,
            )
        )
    rows[17] = (*rows[17][:6], "2026-02-30", *rows[17][7:])
    rows[31] = (*rows[31][:4], "吨", *rows[31][5:])
    rows[52] = rows[51]
    rows[66] = (*rows[66][:3], "十二", *rows[66][4:])
    kinds = ((17, "date does not exist"), (31, "wrong unit"), (52, "duplicate row"), (66, "quantity is not a number"))
    return rows, tuple(WrongRow("orders_synthetic.csv", row + 2, kind) for row, kind in kinds)


def _write_csv(path: Path, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        writer.writerows(rows)


def _write_customers(path: Path, rules: Pack) -> None:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "客户 (合成)"
    sheet.append(("客户编号", "客户名称", "统一社会信用代码", "联系人", "联系电话", "所在地"))
    for number in range(CUSTOMERS):
        name = f"（合成）{_PLACES[number]}{_TRADES[number % len(_TRADES)]}有限公司"
        person = f"合成联系人{number + 1:02d}"
        sheet.append(
            (
                f"C-{number + 1:03d}",
                name,
                make_uscc(number + 1, rules),
                person,
                f"000-0000-{number + 1:04d}",
                f"合成省{_PLACES[number]}市",
            )
        )
    book.save(path)

"""What the owner of a folder tells us: where it is, how its files are to be read, and whether they hold series."""

from pathlib import Path
from typing import Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, model_validator

from gongshu.gather.connector import ConnectorConfig, setting

MEGABYTE = 1024 * 1024


class CsvOptions(BaseModel):
    """How CSV files are to be read; what is left out is found out from each file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    encoding: str = setting("", zh="字符编码", en="Encoding; empty: UTF-8, else GB 18030", example="gb18030")
    delimiter: str = setting("", zh="分隔符", en="Delimiter; empty: found out", example=";", max_length=1)
    header: bool | None = setting(None, zh="标题行", en="The first row holds names; none: found out", example=True)
    skip_rows: int = setting(0, zh="跳过行数", en="Lines above the names", unit="rows", example=2, ge=0, le=1_000)
    null_values: tuple[str, ...] = setting((), zh="空值写法", en="Cells that mean no value", example=["NULL"])
    line_size_max_bytes: int = setting(
        16 * MEGABYTE, zh="行长上限", en="Longest line or quoted field", unit="bytes", example=16 * MEGABYTE, ge=1_000
    )
    outlier_share_max: float = setting(
        0.05,
        zh="异常占比上限",
        en="A column of numbers or times may hold so many other cells: their rows are set aside; 0: it is text then",
        unit="ratio",
        example=0.05,
        ge=0,
        lt=0.5,
    )


class SeriesOptions(BaseModel):
    """The files hold series: one column of times, others of values."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    time_column: str = setting(zh="时间列", en="Name of the column of times", example="time", min_length=1)
    timezone: str = setting("UTC", zh="时区", en="Zone of times that name none", example="Asia/Shanghai")
    value_columns: tuple[str, ...] = setting(
        (), zh="数值列", en="Columns that become series; none named: all but the time", example=["spindle_load"]
    )
    units: dict[str, str] = setting({}, zh="单位", en="Unit of a column", example={"spindle_load": "%"})

    @model_validator(mode="after")
    def _zone_exists(self) -> Self:
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError) as cause:
            raise ValueError(f"unknown time zone {self.timezone!r}") from cause
        return self


class FilesConfig(ConnectorConfig):
    """One folder."""

    folder: Path = setting(zh="文件夹", en="The folder that is watched", example="/data/erp-export")
    patterns: tuple[str, ...] = setting(
        ("*.csv", "*.tsv", "*.txt", "*.parquet", "*.xlsx"),
        zh="文件名样式",
        en="Files that are taken",
        example=["*.csv"],
    )
    recursive: bool = setting(True, zh="含子文件夹", en="Take files of folders below, too", example=True)
    scan_every_s: float = setting(
        1.0, zh="扫描周期", en="How often the folder is looked at", unit="s", example=1.0, ge=0.02, le=3_600
    )
    settle_s: float = setting(
        2.0,
        zh="静置时间",
        en="A file is taken when unchanged for so long",
        unit="s",
        example=2.0,
        ge=0,
    )
    size_max_bytes: int = setting(
        1024 * MEGABYTE,
        zh="文件上限",
        en="Largest file; it is held in memory",
        unit="bytes",
        example=1_000_000_000,
        ge=1,
    )
    csv: CsvOptions = setting(CsvOptions(), zh="CSV 选项", en="How CSV files are read", example={"delimiter": ";"})
    series: SeriesOptions | None = setting(
        None, zh="时间序列", en="Columns are series; none: each file is a table", example={"time_column": "time"}
    )
    silent_after_s: float = setting(
        0.0, zh="静默判定", en="A folder may stay as it is, so silence means nothing: 0", unit="s", example=0.0, ge=0
    )

    @property
    def endpoint(self) -> str:
        """`file:` and the folder."""
        return f"file:{self.folder}"

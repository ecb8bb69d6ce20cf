"""Files of a folder: CSV, Parquet and Excel become datasets, or, where columns are declared, readings of series.

This connector must not know what a table means or who may read it; it never changes, moves or deletes a file.
"""

from gongshu.gather.connector import Can, ConnectorSpec

SPEC = ConnectorSpec(
    name="files",
    title_zh="文件夹(CSV、Parquet、Excel)",
    title_en="Folder of files (CSV, Parquet, Excel)",
    opens="gongshu.gather.connectors.files.folder:FilesConnector",
    config="gongshu.gather.connectors.files.config:FilesConfig",
    can=frozenset({Can.TABLES}),
    sources=(
        "RFC 4180 for CSV",
        "Apache Parquet format 2",
        "ISO/IEC 29500-1 (.xlsx)",
        "GB 18030-2022 for text that is not UTF-8",
    ),
)

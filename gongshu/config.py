"""The configuration of one node: the file `gongshu.toml` in its home folder, and nothing else.

A laptop and a cluster differ here and nowhere in the code (I5). Secrets are not kept in this file: keys live in
`keys/` beside it, readable by their owner alone.
"""

import tomllib
from dataclasses import dataclass
from datetime import timedelta, timezone
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from gongshu.errors import InvalidInput, NotFound, Retry

FILE_NAME = "gongshu.toml"


class NodeRole(StrEnum):
    """What a node is for; every node has every room, the role chooses the console's home and the demo's wiring."""

    ENTERPRISE = "enterprise"
    PARTNER = "partner"
    PROVINCE = "province"


class ConfigMissing(NotFound):
    """There is no node here yet."""

    code = "config.missing"
    retry = Retry.AFTER_FIX
    template = "No node in {home}: {file} is not there. Make one with `gongshu --home {home} init`."


class ConfigInvalid(InvalidInput):
    """The configuration file cannot be used."""

    code = "config.invalid"
    template = "The configuration {file} cannot be used: {reason}. Correct it and start again."


class NodeConfig(BaseModel):
    """The fields of `gongshu.toml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    party_id: str = Field(
        pattern=r"^[a-z][a-z0-9+.-]*:[^\s\"\\]{1,200}$",
        description="The organisation that runs this node, as a URN",
        examples=["urn:gongshu:party:mill"],
    )
    title: str = Field(
        min_length=1,
        max_length=200,
        description="The organisation's name, as people read it",
        examples=["示例机加工厂 (synthetic)"],
    )
    role: NodeRole = NodeRole.ENTERPRISE
    division: str = Field(
        default="C34",
        pattern=r"^[A-T]\d{2}$",
        description="GB/T 4754-2017 division of the main activity",
        examples=["C34"],
    )
    host: str = Field(default="127.0.0.1", description="Address that the HTTP server binds to")
    port: int = Field(default=6720, ge=0, le=65535, description="Port of the HTTP server; 0 takes a free one")
    public_url: str = Field(
        default="",
        pattern=r"^(https?://[^\s/?#\"\\]+(/[^\s?#\"\\]*)?)?$",
        description="Address that partners use; empty means http://host:port",
        examples=["https://mill.example:6720"],
    )
    tls_certificate: str = Field(
        default="",
        description="Our TLS certificate and its intermediates, PEM, in the home folder or absolute; empty: plain HTTP",
    )
    tls_key: str = Field(default="", description="The private key of tls_certificate, PEM, mode 0600")
    tls_partner_ca: str = Field(
        default="", description="Authorities that vouch for partners' certificates, PEM; empty: only registered ones"
    )
    partner_networks: str = Field(
        default="",
        description="Networks of ours, by commas, in which parties of trust lists may lie; registered by hand they may",
        examples=["10.20.0.0/16,fd00:1::/64"],
    )
    database_url: str = Field(default="", description="SQLAlchemy URL; empty means SQLite in the home folder")
    warehouse: str = Field(
        default="", description="Folder of the Iceberg tables; empty means `lake/` in the home folder"
    )
    place: str = Field(
        default="",
        pattern=r"^([A-Z]{2}(-[A-Z0-9]{1,3})?)?$",
        description="Where this node keeps data, ISO 3166: CN or CN-33; contracts that name places ask it",
        examples=["CN-33"],
    )
    utc_offset_minutes: int = Field(
        default=480,
        ge=-720,
        le=840,
        description="Days that people name as first or last begin so long before those of UTC; 480 is Beijing time",
        examples=[480],
    )
    receipts_silent_days: float = Field(
        default=0.0,
        ge=0,
        description="A partner that owes receipts of use gets no more data after so many silent days; 0 never stops",
    )
    deletion_grace_days: float = Field(
        default=1.0, ge=0, description="A partner's deletion proof is overdue so many days after its contract's end"
    )
    idle_transfer_days: int = Field(
        default=30,
        ge=0,
        le=36_500,
        description="A transfer of ours under which a partner fetched nothing for so many days is ended; 0 ends none",
    )
    commit_every_s: float = Field(default=20.0, gt=0, description="The writer commits at least this often")
    commit_rows: int = Field(default=2_000_000, gt=0, description="The writer commits at once when so many rows wait")
    cpu_affinity: str = Field(
        default="",
        pattern=r"^(\d{1,4}(-\d{1,4})?(,\d{1,4}(-\d{1,4})?)*)?$",
        description="Processors that the served process stays on, as taskset lists them; empty: all",
        examples=["1", "0,2-3"],
    )
    query_memory_mb: int = Field(default=1024, ge=64, description="Memory bound of the query worker")
    query_timeout_s: float = Field(default=60.0, gt=0, description="A query that runs longer is stopped")

    @field_validator("cpu_affinity")
    @classmethod
    def _has_no_empty_range(cls, listed: str) -> str:
        for part in listed.split(","):
            if part and not _numbers(part):
                raise ValueError(f"{part} is no range")
        return listed

    @property
    def processors(self) -> set[int]:
        """The numbers in `cpu_affinity`."""
        return {number for part in self.cpu_affinity.split(",") if part for number in _numbers(part)}

    @property
    def zone(self) -> timezone:
        """The zone of the days that people name."""
        return timezone(timedelta(minutes=self.utc_offset_minutes))


def _numbers(part: str) -> range:
    first, _, last = part.partition("-")
    return range(int(first), int(last or first) + 1)


@dataclass(frozen=True, slots=True)
class Home:
    """The folder of one node and the places in it."""

    path: Path

    @property
    def config_file(self) -> Path:
        """`gongshu.toml`."""
        return self.path / FILE_NAME

    @property
    def log_file(self) -> Path:
        """The durable log."""
        return self.path / "log.db"

    @property
    def keys(self) -> Path:
        """Folder of the private keys, mode 0700."""
        return self.path / "keys"

    @property
    def vault(self) -> Path:
        """Folder of the keys of received data, mode 0700."""
        return self.path / "vault"

    def sealed(self, config: NodeConfig) -> Path:
        """Return the folder of encrypted files."""
        return self.warehouse(config) / "sealed"

    @property
    def inbox(self) -> Path:
        """Folder in which a file dropped becomes a dataset."""
        return self.path / "inbox"

    @property
    def run(self) -> Path:
        """Folder of what exists only while the node runs: pid files, the address it answers on."""
        return self.path / "run"

    def database_url(self, config: NodeConfig) -> str:
        """Return the metadata database's URL."""
        return config.database_url or f"sqlite:///{self.path / 'metadata.db'}"

    def warehouse(self, config: NodeConfig) -> Path:
        """Return the folder of the Iceberg tables."""
        return Path(config.warehouse) if config.warehouse else self.path / "lake"


def read_config(home: Home) -> NodeConfig:
    """Return the node's configuration.

    Raises: ConfigMissing, ConfigInvalid.
    """
    try:
        text = home.config_file.read_text(encoding="utf-8")
    except FileNotFoundError as cause:
        raise ConfigMissing(home=home.path, file=FILE_NAME) from cause
    try:
        return NodeConfig.model_validate(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, ValidationError) as cause:
        reason = reasons_of(cause) if isinstance(cause, ValidationError) else str(cause)
        raise ConfigInvalid(file=home.config_file, reason=reason) from cause


def reasons_of(cause: ValidationError) -> str:
    """Return what is wrong, field by field, in one line without the values, with an example where the form is wrong."""
    said = []
    for error in cause.errors():
        field = NodeConfig.model_fields.get(str(error["loc"][0])) if error["loc"] else None
        examples = field.examples if field is not None and error["type"] == "string_pattern_mismatch" else None
        what = f"write it as {examples[0]}" if examples else error["msg"]
        said.append(f"{'.'.join(map(str, error['loc']))}: {what}")
    return "; ".join(said)


def write_config(home: Home, config: NodeConfig) -> None:
    """Write `gongshu.toml`, one commented line a field; an existing file is replaced whole.

    The home folder is made, and closed to other users of the machine: its databases hold readings and secrets' hashes.
    """
    home.path.mkdir(mode=0o700, parents=True, exist_ok=True)
    home.path.chmod(0o700)
    lines = []
    for name, field in NodeConfig.model_fields.items():
        value = getattr(config, name)
        if field.description:
            lines.append(f"# {field.description}")
        lines.append(f"{name} = {_toml(value)}")
    partial = home.config_file.with_suffix(".partial")
    partial.write_text("\n".join(lines) + "\n", encoding="utf-8")
    partial.replace(home.config_file)


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'

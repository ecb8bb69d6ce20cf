"""What a source of MQTT can be told. Strict by default: TLS with verified certificate, and a login."""

import ssl
from enum import StrEnum
from string import Formatter
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from gongshu.gather.connector import ConnectorConfig, setting
from gongshu.gather.connectors.mqtt.paths import parse_path
from gongshu.gather.connectors.mqtt.topics import check_pattern
from gongshu.model.reading import ValueType


class PayloadForm(StrEnum):
    """How to read a message."""

    JSON = "json"
    SPARKPLUG = "sparkplug"


class TimeForm(StrEnum):
    """How a JSON message writes its time."""

    ISO = "iso"
    """ISO 8601 with zone; without one it is not taken as a time."""
    SECONDS = "seconds"
    MILLISECONDS = "milliseconds"
    MICROSECONDS = "microseconds"
    NANOSECONDS = "nanoseconds"


class MqttVersion(StrEnum):
    """Version of the protocol."""

    V5 = "5"
    V311 = "3.1.1"


class JsonMap(BaseModel):
    """Which topics carry values, and where in a message they stand."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    topic: str = Field(
        description="Topic with names for its levels; `{rest}` at the end takes all that follow",
        examples=["plant/{line}/{machine}/{name}"],
    )
    asset: str = Field(default="", description="Place below the source's asset", examples=["{line}/{machine}"])
    name: str = Field(
        default="",
        description="Name of the series; empty takes the topic's `{name}`, or the field's name in an object of values",
        examples=["{name}"],
    )
    value: str = Field(
        default="",
        description="Where the value stands; empty is the whole message. A number, text or boolean is one value; an "
        "object is name → value; a list is a series of such",
        examples=["data.value"],
    )
    name_field: str = Field(
        default="", description="In a list of objects: the field that names the value", examples=["id"]
    )
    value_field: str = Field(
        default="",
        description="In an object: the field that holds the value; the others are not values",
        examples=["v"],
    )
    time: str = Field(default="", description="Where the source time stands; empty: none", examples=["ts"])
    time_form: TimeForm = Field(default=TimeForm.ISO, description="How the time is written", examples=["milliseconds"])
    unit: str = Field(default="", description="Unit of all values", examples=["kW"])
    unit_field: str = Field(default="", description="Where the unit stands, beside the value", examples=["unit"])
    types: dict[str, ValueType] = Field(
        default_factory=dict,
        description="Type by series name where it is not to follow from the first value (JSON writes 1 for 1.0)",
        examples=[{"temperature": "float64"}],
    )

    @model_validator(mode="after")
    def _consistent(self) -> "JsonMap":
        names = check_pattern(self.topic)
        for template in (self.asset, self.name):
            unknown = {name for _, name, _, _ in Formatter().parse(template) if name is not None} - names
            if unknown:
                raise ValueError(f"{template!r} uses {sorted(unknown)}, which the topic does not name")
        for path in (self.value, self.time, self.unit_field):
            parse_path(path)
        return self


class MqttConfig(ConnectorConfig):
    """The fields of an MQTT source."""

    url: str = setting(
        zh="代理地址", en="Broker: mqtts:// (TLS) or mqtt:// (readable on the wire)", example="mqtts://broker.plant:8883",
        pattern=r"^mqtts?://",
    )  # fmt: skip
    username: str = setting("", zh="用户名", en="User name", example="collector")
    password: SecretStr = setting(SecretStr(""), zh="密码", en="Password", example="", secret=True)
    anonymous: bool = setting(False, zh="匿名登录", en="Connect without a user; must be asked for", example=False)
    plaintext: bool = setting(
        False, zh="允许明文", en="Allow mqtt:// without TLS; must be asked for by name", example=False
    )
    ca_file: str = setting(
        "", zh="CA 证书", en="File of the certificate authority (PEM); empty takes the system's", example="ca.pem"
    )
    client_certificate: str = setting("", zh="客户端证书", en="File of our certificate (PEM)", example="client.pem")
    client_key: str = setting("", zh="客户端私钥", en="File of its key (PEM)", example="client.key")
    check_host: bool = setting(
        True, zh="核对主机名", en="Refuse a certificate that was made for another host name", example=True
    )
    version: MqttVersion = setting(MqttVersion.V5, zh="协议版本", en="Version of MQTT", example="5")
    client_id: str = setting(
        "", zh="客户端标识", en="Client id, always the same; empty makes one from the source's name",
        example="gongshu-a", max_length=128,
    )  # fmt: skip
    session_keep_s: int = setting(
        3600, zh="会话保留", en="So long the broker keeps messages for us over an outage (JSON only)", unit="s",
        example=3600, ge=0, le=7 * 86_400,
    )  # fmt: skip
    keep_alive_s: int = setting(15, zh="心跳", en="Sign of life to the broker", unit="s", example=15, ge=1, le=600)
    qos: int = setting(1, zh="服务质量", en="0 at most once, 1 at least once", example=1, ge=0, le=1)
    payload: PayloadForm = setting(PayloadForm.JSON, zh="负载格式", en="How messages are written", example="sparkplug")
    json_maps: tuple[JsonMap, ...] = setting(
        (), zh="JSON 映射", en="Topics of plain JSON and where their values stand",
        example=[{"topic": "plant/{line}/{name}"}],
    )  # fmt: skip
    groups: tuple[str, ...] = setting(
        (), zh="Sparkplug 组", en="Group ids to follow; empty follows all", example=["plant-1"]
    )
    host_id: str = setting(
        "", zh="主机标识", en="Host application id whose STATE is published; empty publishes none", example="gongshu"
    )
    reorder_s: float = setting(
        2.0, zh="重排等待", en="So long a Sparkplug message may be overtaken before a rebirth is asked for", unit="s",
        example=2.0, gt=0, le=60,
    )  # fmt: skip
    rebirth_every_s: float = setting(
        10.0,
        zh="重生间隔",
        en="At most so often one edge node is asked for a rebirth",
        unit="s",
        example=10.0,
        gt=0,
        le=3600,
    )
    payload_max_bytes: int = setting(
        1024 * 1024, zh="负载上限", en="Larger messages are counted and left", unit="bytes", example=1048576, ge=256
    )
    messages_max: int = setting(
        2_000, zh="消息上限", en="Messages that may wait here, read and not yet stored", unit="messages", example=2000,
        ge=1, le=65_535,
    )  # fmt: skip
    tags_max: int = setting(
        20_000, zh="变量上限", en="Most series one source may have", unit="tags", example=20_000, ge=1
    )

    @model_validator(mode="after")
    def _consistent(self) -> "MqttConfig":
        parts = urlsplit(self.url)
        if not parts.hostname or "@" in parts.netloc:
            raise ValueError("`url` needs a host and must not hold a user or password")
        if parts.scheme == "mqtt" and not self.plaintext:
            raise ValueError("mqtt:// is readable on the wire; use mqtts://, or set `plaintext` = true")
        if self.anonymous == bool(self.username or self.client_certificate):
            raise ValueError("give exactly one login: `username`, `client_certificate`, or `anonymous` = true")
        if bool(self.client_certificate) != bool(self.client_key):
            raise ValueError("`client_certificate` and `client_key` go together")
        if (self.payload is PayloadForm.JSON) != bool(self.json_maps):
            raise ValueError("`json_maps` belongs to, and is needed by, `payload` = json")
        return self

    @property
    def endpoint(self) -> str:
        """The address; a URL with a password in it is refused."""
        return self.url

    @property
    def host(self) -> str:
        """Host name or address of the broker."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """Port of the broker; 8883 with TLS and 1883 without, unless given."""
        return urlsplit(self.url).port or (8883 if self.is_encrypted else 1883)

    @property
    def is_encrypted(self) -> bool:
        """True with TLS."""
        return urlsplit(self.url).scheme == "mqtts"

    @property
    def login(self) -> str:
        """Who we say we are, for messages."""
        return "anonymous" if self.anonymous else self.username or f"certificate {self.client_certificate}"

    def tls_context(self) -> ssl.SSLContext | None:
        """Return the TLS settings, verification on; None without TLS. Raises: OSError, ssl.SSLError for bad files."""
        if not self.is_encrypted:
            return None
        context = ssl.create_default_context(cafile=self.ca_file or None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.check_hostname = self.check_host
        if self.client_certificate:
            context.load_cert_chain(self.client_certificate, self.client_key)
        return context

"""What a source of OPC UA can be told. Strict by default: encrypted, known certificate, a named user."""

from enum import StrEnum
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from gongshu.gather.connector import ConnectorConfig, setting


class Security(StrEnum):
    """How messages are protected. What is asked for is used, or the connection is refused: no silent downgrade."""

    SIGN_AND_ENCRYPT = "sign_and_encrypt"
    SIGN = "sign"
    NONE = "none"
    """Neither signed nor encrypted: anybody on the network can read and change values. Only if asked for by name."""


class Trigger(StrEnum):
    """Which change the server reports. Source: OPC 10000-4 §7.22.2 DataChangeTrigger."""

    STATUS_VALUE = "status_value"
    STATUS_VALUE_TIMESTAMP = "status_value_timestamp"
    """Also when only the source time moved: every sample of a server that stamps each."""


class Deadband(StrEnum):
    """Changes smaller than this are not reported by the server. Source: OPC 10000-4 §7.22.2, OPC 10000-8 §7.2."""

    NONE = "none"
    ABSOLUTE = "absolute"
    PERCENT = "percent"
    """Of the variable's EURange; the server refuses it where there is none."""


class NodeSetting(BaseModel):
    """One variable to collect, and how it is to be called here."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: str = Field(description="Node id with namespace URI", examples=["nsu=urn:mill:3;s=Spindle.Load"])
    name: str = Field(default="", description="Short name; empty takes the browse name", examples=["spindle_load"])
    path: str = Field(default="", description="Place below the source's asset", examples=["spindle"])
    unit: str = Field(default="", description="Unit; empty takes the server's", examples=["kW"])


class OpcUaConfig(ConnectorConfig):
    """The fields of an OPC UA source."""

    url: str = setting(
        zh="服务器地址", en="Address of the server", example="opc.tcp://192.0.2.10:4840/plant", pattern=r"^opc\.tcp://"
    )
    security: Security = setting(
        Security.SIGN_AND_ENCRYPT, zh="消息安全", en="How messages are protected", example="sign_and_encrypt"
    )
    trusted_sha256: tuple[str, ...] = setting(
        (),
        zh="受信证书指纹",
        en="SHA-256 fingerprints of server certificates that you have compared with the device",
        example=["3f9a…"],
    )
    check_host: bool = setting(
        True, zh="核对主机名", en="Refuse a certificate that was made for another host name", example=True
    )
    anonymous: bool = setting(
        False, zh="匿名登录", en="Log in without a user; must be asked for by name", example=False
    )
    username: str = setting("", zh="用户名", en="User name", example="collector")
    password: SecretStr = setting(SecretStr(""), zh="密码", en="Password of the user name", example="", secret=True)
    user_certificate: str = setting(
        "", zh="用户证书", en="File of the user's certificate (PEM or DER), instead of a name", example="user.pem"
    )
    user_key: str = setting("", zh="用户私钥", en="File of its private key (PEM or DER)", example="user.key.pem")
    application_uri: str = setting(
        "", zh="应用标识", en="Our application URI; empty makes one from host and source", example="urn:mill:gongshu"
    )
    nodes: tuple[NodeSetting, ...] = setting(
        (), zh="变量", en="Variables to collect; empty collects all below `roots`", example=[{"address": "i=2258"}]
    )
    roots: tuple[str, ...] = setting(
        ("i=85",), zh="浏览根节点", en="Where browsing starts, as node ids", example=["nsu=urn:mill:3;s=Line1"]
    )
    tags_max: int = setting(
        20_000, zh="变量上限", en="Most variables one source may collect", unit="tags", example=20_000, ge=1
    )
    publishing_interval_ms: float = setting(
        500.0, zh="发布间隔", en="How often the server sends what changed", unit="ms", example=500.0, gt=0
    )
    sampling_interval_ms: float = setting(
        -1.0, zh="采样间隔", en="How often the server looks at a variable; -1 is the publishing interval",
        unit="ms", example=100.0, ge=-1,
    )  # fmt: skip
    queue_size: int = setting(
        10, zh="服务器队列", en="Values of one variable that the server keeps between two publishes",
        unit="values", example=10, ge=1, le=100_000,
    )  # fmt: skip
    trigger: Trigger = setting(
        Trigger.STATUS_VALUE, zh="触发条件", en="Which changes the server reports", example="status_value"
    )
    deadband: Deadband = setting(Deadband.NONE, zh="死区类型", en="Kind of deadband", example="absolute")
    deadband_value: float = setting(0.0, zh="死区", en="Size of the deadband", example=0.5, ge=0)
    publishes_in_flight: int = setting(
        8, zh="并行发布请求", en="Publish requests kept waiting at the server; lowered if it takes fewer",
        unit="requests", example=8, ge=1, le=50,
    )  # fmt: skip
    items_per_call: int = setting(
        500, zh="单次项目数", en="Most nodes in one request", unit="nodes", example=100, ge=1, le=10_000
    )
    session_keep_s: float = setting(
        120.0, zh="会话保留", en="So long the server keeps our session and queues over an outage", unit="s",
        example=120.0, gt=0, le=86_400,
    )  # fmt: skip
    message_max_bytes: int = setting(
        64 * 1024 * 1024,
        zh="报文上限",
        en="Larger answers end the connection",
        unit="bytes",
        example=67108864,
        ge=65536,
    )

    @field_validator("trusted_sha256")
    @classmethod
    def _fingerprints(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        plain = tuple(item.replace(":", "").replace(" ", "").lower() for item in given)
        if any(len(item) != 64 or set(item) - set("0123456789abcdef") for item in plain):
            raise ValueError("a SHA-256 fingerprint has 64 hexadecimal digits")
        return plain

    @model_validator(mode="after")
    def _one_login(self) -> "OpcUaConfig":
        ways = [self.anonymous, bool(self.username), bool(self.user_certificate)]
        if sum(ways) != 1:
            raise ValueError("give exactly one login: `username`, `user_certificate`, or `anonymous` = true")
        if bool(self.user_certificate) != bool(self.user_key):
            raise ValueError("`user_certificate` and `user_key` go together")
        if self.security is Security.NONE and self.username:
            raise ValueError("a password is not sent over an unprotected connection; use `sign_and_encrypt`")
        if not urlsplit(self.url).hostname or "@" in urlsplit(self.url).netloc:
            raise ValueError("`url` needs a host and must not hold a user or password")
        return self

    @property
    def endpoint(self) -> str:
        """The address; a URL with a password in it is refused."""
        return self.url

    @property
    def login(self) -> str:
        """Who we say we are, for messages."""
        return "anonymous" if self.anonymous else self.username or f"certificate {self.user_certificate}"

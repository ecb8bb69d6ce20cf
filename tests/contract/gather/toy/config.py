"""The toy's config."""

from pydantic import SecretStr

from gongshu.gather.connector import ConnectorConfig, setting


class ToyConfig(ConnectorConfig):
    """One toy device."""

    host: str = setting(zh="主机", en="Address", example="127.0.0.1")
    port: int = setting(zh="端口", en="Port", example=9000)
    token: SecretStr = setting(zh="令牌", en="Token", example="t0ken", secret=True)

    @property
    def endpoint(self) -> str:
        return f"toy://{self.host}:{self.port}"

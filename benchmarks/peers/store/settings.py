"""The settings of the twin's services."""

from pydantic_settings import BaseSettings


class Settings(BaseSettings):
    """The settings, which are read from the environment."""

    database_url: str
    broker_url: str
    jwt_secret: str
    catalog_url: str = ""
    port: int
    log_level: str = "info"

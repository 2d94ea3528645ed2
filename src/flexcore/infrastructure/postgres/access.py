"""How one role reaches one database."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class PostgresAccess:
    """Address and credentials. The password stays out of every representation."""

    host: str
    port: int
    database: str
    user: str
    password: str = field(repr=False)

"""The gradstream server. Needs the extra `server`."""

from importlib.util import find_spec

_missing = [
    name
    for name in ("alembic", "array_api_compat", "grpc_health", "sqlalchemy", "torch")
    if not find_spec(name)
]
if _missing:
    raise ImportError(
        f"the gradstream server needs {', '.join(_missing)}, which the thin client does without; "
        "install the extra: pip install 'gradstream[server]'"
    )

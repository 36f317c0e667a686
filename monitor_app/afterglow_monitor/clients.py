"""MLflow's client for a tracking server, in one of its workspaces where it has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, ErrorCode

_UNKNOWN = ErrorCode.Name(INVALID_PARAMETER_VALUE)


def tracking_client(uri: str, workspace: str | None = None) -> Any:
    """An MlflowClient; with a workspace, each of its calls is made in that one."""
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    return client if workspace is None else _Within(client, workspace)


class _Within:
    """A client whose methods are called in a workspace. MLflow keeps the current one in a variable of the context, or
    in the environment, where all threads of the process would share it."""

    def __init__(self, client: MlflowClient, workspace: str) -> None:
        self._client, self._workspace = client, workspace

    def __getattr__(self, name: str) -> Callable[..., Any]:
        from mlflow.utils.workspace_context import ServerWorkspaceContext  # noqa: PLC0415 - old versions have it not

        method = getattr(self._client, name)

        def call(*said: Any, **named: Any) -> Any:
            with ServerWorkspaceContext(self._workspace):
                return method(*said, **named)

        return call


def workspaces(uri: str) -> list[str] | None:
    """The names of the server's workspaces that may be read; None where it has none. Raises what the client raises."""
    if not uri.startswith(("http://", "https://")):
        return None
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    try:
        enabled = getattr(client._tracking_client.store, "supports_workspaces", False)
    except MlflowException as exc:
        if exc.error_code == _UNKNOWN:  # an old server: it cannot be asked
            return None
        raise
    return [each.name for each in client.list_workspaces()] if enabled else None

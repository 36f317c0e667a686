"""MLflow's client for a tracking server, in one of its workspaces where it has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlflow import MlflowClient
from mlflow.utils.rest_utils import http_request, verify_rest_response

NOT_FOUND = 404


def tracking_client(uri: str, workspace: str | None = None) -> Any:
    """An MlflowClient; with a workspace, each of its calls is made in that one."""
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    return client if workspace is None else _Within(client, workspace)


class _Within:
    """A client whose methods are called in a workspace. MLflow keeps the current one in a variable of the context, or
    in the environment, where all threads of the process would share it."""

    def __init__(self, client: MlflowClient, workspace: str) -> None:
        self._client, self._workspace = client, workspace

    @property
    def tracking_uri(self) -> str:
        return str(self._client.tracking_uri)

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
    return [each.name for each in client.list_workspaces()] if _enabled(client) else None


def _enabled(client: MlflowClient) -> bool:
    """As MLflow's own `supports_workspaces`, which gives a server three seconds and not what is set for requests. A
    server that knows neither of these addresses is of a version without workspaces."""
    credentials = client._tracking_client.store.get_host_creds()
    for address in ("/api/3.0/mlflow/server-info", "/api/3.0/mlflow/server-features"):
        asked = {"host_creds": credentials, "endpoint": address, "method": "GET", "raise_on_status": False}
        answer = http_request(**asked)  # type: ignore[no-untyped-call]
        if answer.status_code != NOT_FOUND:
            return bool(verify_rest_response(answer, address).json().get("workspaces_enabled"))
    return False

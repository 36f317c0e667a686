"""Linking runs that have no link: a person says of which application a run is, often because it was suggested.

All tags go to MLflow in one request, so that it has all or none.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from mlflow.entities import RunTag

from afterglow.spark import Application
from afterglow_monitor.errors import CannotLink
from afterglow_monitor.writing import Row, Writer
from afterglow_store import Query, audit, search_applications
from afterglow_store.applications import refresh_counts
from afterglow_store.errors import NotFound
from afterglow_store.items import application_by_id, run_by_id
from afterglow_store.links import APP_ID_TAG, INFERRED, SAID_TAG, add_links, remove_inferred
from afterglow_store.runs import refresh_sums
from afterglow_store.suggest import Suggestion, suggest


class Linker(Writer):
    refusal = CannotLink

    def link(self, run_id: str, application_id: int, *, why: str, now: int) -> Row:
        """Write the application's tags onto the run in MLflow, then the link (source `inferred`) and the audit row.
        Tags that the run has already stay as they are. The run's row.

        Raises NotFound for a run or application that the store does not have; CannotLink when the run has a link, or
        MLflow does not take it.
        """
        with self.store.read() as conn:
            row = unlinked_run(conn, run_id)
            app = application_by_id(conn, application_id)
        client = self.client_of(row)
        details = self.details(client, row)
        there = details["tags"]
        if APP_ID_TAG in there:
            raise CannotLink(f"MLflow says that run {run_id} is of {there[APP_ID_TAG]}: it was changed meanwhile")
        wanted = tags_of(app) | {SAID_TAG: f"{app['app_id']} by {self.who}: {why}"}
        tags = {key: value for key, value in wanted.items() if key not in there}
        after = {"app_id": app["app_id"], "application_id": app["id"], "tags": tags}
        with self.audited(audit.LINK, run_id, after, now) as entry:
            self.ask(f"run {run_id}", lambda: client.log_batch(run_id, tags=[RunTag(*tag) for tag in tags.items()]))
        details["tags"] = there | tags
        with self.store.write() as conn:
            self.take_in(conn, row, details, now)
            add_links(conn, app["id"], {run_id: (INFERRED, row["start_time"] or now)})
            refresh_sums(conn, [run_id])
            audit.finish(conn, entry, action=audit.LINK, before={"app_id": None}, after=after)
            return run_by_id(conn, run_id)

    def undo(self, run_id: str, *, now: int) -> Row:
        """Take back the last linking of this run: the tags that it wrote, and the link. The run's row.

        Raises NotFound; CannotLink when it was not linked by Afterglow, has been changed since, or MLflow does not
        take it: then it can be undone again.
        """
        with self.store.read() as conn:
            row = run_by_id(conn, run_id)
            last = audit.last_of_run(conn, run_id, audit.LINK, audit.UNLINK)
        if last is None or last["action"] != audit.LINK:
            raise CannotLink(f"run {run_id} was not linked by hand: there is nothing to undo")
        done, client = last["after"], self.client_of(row)
        details = self.details(client, row)
        there = details["tags"]
        if there.get(APP_ID_TAG, done["app_id"]) != done["app_id"]:
            raise CannotLink(f"MLflow says that run {run_id} is of {there[APP_ID_TAG]}: it was changed meanwhile")
        with self.audited(audit.UNLINK, run_id, done, now) as entry:
            # The application's id goes last: as long as it is there, another try finds what is left.
            for key in sorted(done["tags"], key=lambda key: key == APP_ID_TAG):
                if there.get(key) == done["tags"][key]:
                    self.ask(f"run {run_id}", partial(client.delete_tag, run_id, key))
                    del there[key]
        with self.store.write() as conn:
            self.take_in(conn, row, details, now)
            remove_inferred(conn, done["application_id"], run_id)
            refresh_sums(conn, [run_id])
            refresh_counts(conn, [done["application_id"]])
            audit.finish(conn, entry, action=audit.UNLINK, before=done, after={"app_id": None})
            return run_by_id(conn, run_id)


def tags_of(app: Row) -> dict[str, str]:
    """The tags that the hook would have set, as far as the store knows them."""
    return Application(
        app_id=app["app_id"],
        attempt=app["attempt"],
        name=app["name"] or "",
        start_time=app["start_time"],
        user=app["user_name"] or "",
        master=app["master"] or "",
        driver_host=app["driver_host"],
        spark_version=app["spark_version"] or "",
    ).run_tags()


def unlinked_run(conn: Any, run_id: str) -> Row:
    """The run's row. Raises NotFound, or CannotLink where it has a link or names an application itself."""
    row = run_by_id(conn, run_id)
    if row["applications"]:
        linked = ", ".join(each["app_id"] for each in row["applications"])
        raise CannotLink(f"run {run_id} is linked to {linked} already")
    if row["app_id_tag"] is not None:
        raise CannotLink(
            f"run {run_id} names its application itself, {row['app_id_tag']}, which the store does not have: "
            "ingest that application's journal or event log instead"
        )
    return row


def suggestion_for(conn: Any, run_id: str) -> Suggestion:
    """Raises NotFound, or CannotLink where the run has a link, or nothing is suggested."""
    found = suggest(conn, [unlinked_run(conn, run_id)]).get(run_id)
    if found is None:
        raise CannotLink(f"nothing is suggested for run {run_id}: name its application with --application")
    return found


def application_named(conn: Any, name: str, run_id: str) -> int:
    """The row id of the application with this Spark id (or row id); `local-…` ids repeat, so that it is the one that
    ran when the run began. Raises NotFound, or CannotLink where that leaves several."""
    if name.isdigit():
        return int(application_by_id(conn, int(name))["id"])
    same = [app for app in search_applications(conn, Query(app=name, limit=1_000)).rows if app["app_id"] == name]
    if not same:
        raise NotFound(f"application {name} is not in the store")
    began = run_by_id(conn, run_id)["start_time"] or 0
    then = [app for app in same if app["start_time"] <= began <= (app["end_time"] or began)]
    found = same if len(same) == 1 else then
    if len(found) != 1:
        ids = ", ".join(str(app["id"]) for app in same)
        raise CannotLink(f"{len(same)} applications have the id {name}: name one by its number in the store, {ids}")
    return int(found[0]["id"])

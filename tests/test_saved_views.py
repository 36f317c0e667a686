"""Lists that people have left or named."""

from afterglow_store import Store, saved_views


def test_a_list_is_kept_for_its_owner_and_shown_to_others_where_it_is_shared(store: Store) -> None:
    saved_views.keep(store, "person ada", saved_views.LAST, {"tab": ["runs"]}, now=1)
    saved_views.keep(store, "person ada", saved_views.LAST, {"tab": ["runs"], "q": ["x"]}, now=2)
    saved_views.keep(store, "person ada", "mine", {"user": ["ada"]}, now=3)
    saved_views.keep(store, "person ada", "ours", {"status": ["FAILED", "KILLED"]}, shared=True, now=3)
    saved_views.keep(store, "person lin", "ours", {"status": []}, now=3)
    with store.read() as conn:
        assert saved_views.last(conn, "person ada") == {"tab": ["runs"], "q": ["x"]}
        assert saved_views.last(conn, "person lin") is None
        assert [row["name"] for row in saved_views.named(conn, "person ada")] == ["mine", "ours"]
        found = [(row["owner"], row["name"]) for row in saved_views.named(conn, "person lin")]
    assert found == [("person lin", "ours"), ("person ada", "ours")]
    saved_views.remove(store, "person lin", "ours")
    with store.read() as conn:
        [left] = saved_views.named(conn, "person lin")
    assert left["address"] == {"status": ["FAILED", "KILLED"]}

"""The builds of an index in Elasticsearch: which one its name stands for, and how one is begun, put to use, removed.

An index's name is an alias. Each build is an index of its own, `<name>-<fingerprint>-<random>`, that the alias is moved
to when all documents are in it; a crash leaves the alias where it was. What is no longer behind the alias may still be
searched, or filled, by another process: later builds remove it half a day after it was replaced, or begun.
"""

import logging
import re
import secrets
from collections.abc import Mapping
from typing import Any

import elasticsearch
from elasticsearch import Elasticsearch

from rageval.config.evaluation import Language
from rageval.errors import IndexMismatchError, ServiceError
from rageval.search.elasticsearch_errors import error_of, patiently, reason_of, translated_errors
from rageval.search.elasticsearch_layout import analysis, identity_in, mappings
from rageval.search.search_index import IndexIdentity

Build = tuple[str, IndexIdentity]
"""The name of the index that a build is, and what it was built from."""
_logger = logging.getLogger(__name__)
_KEPT_MS = 12 * 3600 * 1000
"""How long a build stays that another one has replaced, or that was never finished: longer than a search or a build."""
_REPLACED = "replaced_ms"
_CLEAN_UP_S = 5.0
_MOVES = 10
"""Attempts to move the alias: each is lost to another build that was faster."""


class ElasticsearchBuilds:
    """The builds of one index. But for `current`, the client's errors are not translated here."""

    def __init__(self, client: Elasticsearch, address: str, name: str) -> None:
        """Note where they are; nothing is sent yet.

        Args:
            client: The client.
            address: The server's address, for messages.
            name: Of the alias.
        """
        self._client = client
        self._url = address
        self.name = name

    def current(self) -> Build | None:
        """Return the build behind the alias, or None if there is none.

        Raises:
            IndexMismatchError: If the name belongs to something else.
            ServiceError, CredentialsError: If the server does not say.
        """
        with translated_errors(self._url):
            try:
                found = patiently(lambda: self._client.indices.get_mapping(index=self.name)).body
            except elasticsearch.NotFoundError:
                return None
        if len(found) == 1:
            [(index, mapping)] = found.items()
            identity = identity_in(mapping["mappings"].get("_meta", {}))
            if index != self.name and identity:
                return index, identity
        raise IndexMismatchError(
            f"{self.name} at {self._url} stands for {', '.join(sorted(found))}, which this program did not build "
            "and will not replace; choose another index.name"
        )

    def all(self) -> dict[str, tuple[int, Mapping[str, Any]]]:
        """Return when each build of this index was created, by the server's clock, and what is noted of it."""
        pattern = re.compile(re.escape(self.name) + r"-[0-9a-f]{12}-[0-9a-f]{8}")
        found = patiently(lambda: self._client.indices.get(index=f"{self.name}-*")).body
        return {
            name: (int(index["settings"]["index"]["creation_date"]), index["mappings"].get("_meta", {}))
            for name, index in found.items()
            if pattern.fullmatch(name)
        }

    def remove_old(self, target: str) -> int:
        """Remove what was replaced, or begun and not finished, too long ago; returns when the target was created."""
        builds, current = self.all(), self.current()
        now_ms, _ = builds[target]
        stay = {target, current[0] if current else target}
        for name, (created_ms, meta) in builds.items():
            if name not in stay and now_ms - int(meta.get(_REPLACED, created_ms)) > _KEPT_MS:
                self._client.indices.delete(index=name, ignore_unavailable=True)
        return now_ms

    def new_name(self, identity: IndexIdentity) -> str:
        """Return the name of a build that is yet to come."""
        return f"{self.name}-{identity.fingerprint[:12]}-{secrets.token_hex(4)}"

    def create(self, target: str, identity: IndexIdentity, language: Language, options: Mapping[str, str]) -> None:
        """Begin a build.

        Args:
            target: Its name.
            identity: What it is built from.
            language: By whose rules texts are cut.
            options: The kind of its vector index, and its numbers of shards and replicas.

        Raises:
            ServiceError: If there is no node for it.
        """
        settings: dict[str, Any] = {
            "number_of_shards": int(options["shards"]),
            # It is refreshed once, when all documents are in it, and not written to any more.
            "refresh_interval": "-1",
            "analysis": analysis(language),
        }
        if options["replicas"] == "auto":
            settings["auto_expand_replicas"] = "0-1"
        else:
            settings["number_of_replicas"] = int(options["replicas"])
        created = patiently(
            lambda: self._client.indices.create(
                index=target, settings=settings, mappings=mappings(identity, options["index_options"])
            ),
            unreachable=False,
        )
        if not created.body["shards_acknowledged"] and (obstacle := self._obstacle(target)):
            raise ServiceError(
                f"Elasticsearch at {self._url} finds no node that may hold the new index: {obstacle}; "
                "the old one was not changed; mend that, and run again"
            )

    def _obstacle(self, target: str) -> str | None:
        """Return why an index is on no node, in the server's words, or None if it is, or can be, by now."""
        try:
            explained = self._client.cluster.allocation_explain(index=target, shard=0, primary=True).body
        except elasticsearch.ApiError as error:
            return f"it does not say why ({reason_of(error_of(error))})"
        if explained.get("can_allocate", "yes") == "yes":
            return None
        deciders = [
            decider["explanation"]
            for node in explained.get("node_allocation_decisions", [])
            for decider in node.get("deciders", [])
            if decider.get("decision") == "NO"
        ]
        reasons = deciders or [
            explained.get("allocate_explanation") or explained.get("can_allocate") or "no reason given"
        ]
        return "; ".join(dict.fromkeys(str(reason) for reason in reasons))

    def check(self, target: str, identity: IndexIdentity) -> None:
        """Make a build that is filled ready to be searched.

        Raises:
            ServiceError: If not all documents can be found in it.
        """
        patiently(lambda: self._client.indices.refresh(index=target))
        found = int(patiently(lambda: self._client.count(index=target)).body["count"])
        # If someone else removes the index meanwhile, the server creates it anew, without our mapping.
        mapping = self._client.indices.get_mapping(index=target).body[target]["mappings"]
        if found != identity.documents or identity_in(mapping.get("_meta", {})) != identity:
            raise ServiceError(
                f"Elasticsearch at {self._url} holds {found} of {identity.documents} documents in {target} after "
                "indexing, or another process changed it; make sure that nothing else builds this index, and run again"
            )

    def move_alias(self, target: str, created_ms: int) -> None:
        """Let the name stand for the new build; the old one is marked with the time, for whoever removes it.

        An alias has one write index at most: of those that move it at once, the server lets one through, and the others
        look again at what it stands for.
        """
        for attempts_left in reversed(range(_MOVES)):
            actions: list[dict[str, Any]] = [{"add": {"index": target, "alias": self.name, "is_write_index": True}}]
            if old := self.current():
                meta = self.all().get(old[0], (0, {}))[1]
                self._client.indices.put_mapping(index=old[0], meta={**meta, _REPLACED: created_ms})
                actions.insert(0, {"remove": {"index": old[0], "alias": self.name}})
            try:
                self._client.indices.update_aliases(actions=actions)
                return
            except elasticsearch.ApiError:
                if not attempts_left:
                    raise

    def with_fingerprint(self, fingerprint: str) -> Build | None:
        """Return a build that was behind the alias, and so is whole, or None if there is none with this fingerprint."""
        whole = {name: identity_in(meta) for name, (_, meta) in self.all().items() if _REPLACED in meta}
        fitting = [(name, found) for name, found in whole.items() if found and found.fingerprint == fingerprint]
        return fitting[-1] if fitting else None

    def abandon(self, target: str) -> None:
        """Remove a build that has failed, if that is quickly done; otherwise a later build does it."""
        try:
            self._client.options(request_timeout=_CLEAN_UP_S).indices.delete(index=target, ignore_unavailable=True)
        except (elasticsearch.ApiError, elasticsearch.TransportError) as error:
            _logger.warning("The index %s at %s stays for now: %s", target, self._url, error)

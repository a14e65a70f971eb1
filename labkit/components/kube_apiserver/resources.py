"""What each verb does to the objects of any kind.

list, watch      selection from the query -> entries of the cache -> JSON joined, or a stream
create, update   body -> object -> registry
patch            the change is applied to what is there, as often as it takes
delete           registry -> the pod or namespace itself, for other kinds a Status
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from labkit.api import codec, patch
from labkit.api.errors import Expired, MethodNotAllowed, NotFound, ServerTimeout, TooLargeResourceVersion
from labkit.api.fields import parse_field_selector
from labkit.api.kinds import Kind
from labkit.api.labels import parse_selector
from labkit.api.ownership.managers import Owner, applied
from labkit.api.types import Namespace, ObjectMeta, Status, StatusDetails, copy
from labkit.components.kube_apiserver import answers, bodies, changes, watching
from labkit.components.kube_apiserver.admission.chain import Chain
from labkit.components.kube_apiserver.admission.plugin import Asked
from labkit.components.kube_apiserver.admission.resource_quota import charged
from labkit.components.kube_apiserver.messages import Answer, Outlet, Request, Stream
from labkit.components.kube_apiserver.routes import Route
from labkit.storage import deletion
from labkit.storage.cache import Cache, Shelf
from labkit.storage.entry import Entry
from labkit.storage.protocol import Compacted, Mismatch
from labkit.storage.registry import ATTEMPTS, Intent, Registry, now, timestamp
from labkit.storage.selection import Selection

REVISION_SECONDS = 3.0  # so long a read waits for a resourceVersion that is not here yet
TOO_OLD = "The resourceVersion for the provided list is too old."
CONTINUE_TOO_OLD = "The provided continue parameter is too old to display a consistent list result: list again"
WATCH_SECONDS = 1800.0  # a watch lasts at random one to two times this, as 1.0's --min-request-timeout
Entries = list[Entry]


class Resources:
    """The verbs of objects and collections, subresources excepted."""

    def __init__(self, cache: Cache, registries: dict[str, Registry], admission: Chain) -> None:
        self._cache = cache
        self._admission = admission
        self.registries = registries

    async def get(self, request: Request, at: Route, kind: Kind) -> Answer:
        asked = request.query.get("resourceVersion", "")
        if asked:
            await self._reached(asked)
        registry = self.registries[at.resource]
        entry = await registry.get(at.namespace, at.name, current=not asked)
        return answers.object_answer(request, kind, entry)

    async def _reached(self, asked: str) -> None:
        """Be at least as new as the asked resourceVersion; raises BadRequest, TooLargeResourceVersion."""
        await reached(self._cache, watching.parse_revision(asked))

    # -- collections ---------------------------------------------------------------------------------------------

    async def list(self, request: Request, at: Route, kind: Kind) -> Answer:
        query = request.query
        selection = selection_of(request, at, kind)
        limit = bodies.number(query.get("limit", ""), "limit")
        bodies.check_match(query)
        if query.get("continue"):
            return await self._list_on(request, at, kind, selection, limit)
        asked = query.get("resourceVersion", "")
        await (self._reached(asked) if asked else self._cache.current())
        if bodies.is_exact(query, limit):
            revision = watching.parse_revision(asked)
            entries = await self._stored(at, selection, revision, TOO_OLD)
            return _part(request, at, kind, selection, entries, revision, limit)
        revision = self._cache.revision
        entries = selection.of(self.registries[at.resource].shelf.within(at.namespace))
        return _part(request, at, kind, selection, entries, revision, limit)

    async def _list_on(self, request: Request, at: Route, kind: Kind, selection: Selection, limit: int) -> Answer:
        """The next part of a list: read from the store as of the first part's revision."""
        after, revision = answers.read_token(request.query["continue"])
        entries = await self._stored(at, selection, revision, CONTINUE_TOO_OLD, after)
        return _part(request, at, kind, selection, entries, revision, limit)

    async def _stored(self, at: Route, selection: Selection, revision: int, too_old: str, after: str = "") -> Entries:
        """What there was at a revision, behind the path `after`. Raises Expired, with the text `too_old`."""
        shelf = self.registries[at.resource].shelf
        prefix = f"{shelf.prefix}{at.namespace}/" if at.namespace else shelf.prefix
        try:
            page = await self._cache.storage.list(
                prefix, after=f"{shelf.prefix}{after}" if after else "", revision=revision
            )
        except Compacted as error:
            raise Expired(too_old) from error
        return selection.of(
            [shelf.codec.entry(key[len(shelf.prefix) :], value, then) for key, value, then in page.items]
        )

    async def watch(self, request: Request, at: Route, kind: Kind) -> Stream:
        shelf, writer = self.registries[at.resource].shelf, watching.Frames(request, kind)
        return await watch_stream(self._cache, shelf, request, selection_of(request, at, kind), writer)

    # -- changes -------------------------------------------------------------------------------------------------

    async def create(self, request: Request, at: Route, kind: Kind) -> Answer:
        _check_scope(at, kind)
        obj, warnings = bodies.read(request, kind.type)
        obj.metadata.managed_fields = []
        entry = await self._admit_and_store(request, at, kind, obj)
        return _warned(answers.object_answer(request, kind, entry, 201), warnings)

    async def update(self, request: Request, at: Route, kind: Kind) -> Answer:
        sent, warnings = bodies.read(request, kind.type)
        status = 200
        try:
            entry = await self._update(request, at, kind, lambda old: sent)
        except NotFound:
            if not self.registries[at.resource].strategy.create_on_update:
                raise
            changes.check_place(sent, at.name, at.namespace)
            entry, status = await self._admit_and_store(request, at, kind, copy(sent)), 201
        return _warned(answers.object_answer(request, kind, entry, status), warnings)

    async def patch(self, request: Request, at: Route, kind: Kind) -> Answer:
        if bodies.content_type(request) == patch.APPLY:
            return await self._apply(request, at, kind)
        patched, warnings = bodies.read_patch(request, kind.type)
        entry = await self._update(request, at, kind, patched)
        return _warned(answers.object_answer(request, kind, entry), warnings)

    async def _apply(self, request: Request, at: Route, kind: Kind) -> Answer:
        """Server-side: what is not there is created."""
        change, warnings = applying(request, kind.type)
        status = 200
        try:
            entry = await self._update(request, at, kind, change)
        except NotFound:
            made = change(kind.type(metadata=ObjectMeta(name=at.name, namespace=at.namespace)))
            changes.check_place(made, at.name, at.namespace)
            entry, status = await self._admit_and_store(request, at, kind, made), 201
        return _warned(answers.object_answer(request, kind, entry, status), warnings)

    async def _admit_and_store(self, request: Request, at: Route, kind: Kind, obj: Any) -> Entry:
        asked = _asked("CREATE", request, at, kind, obj)
        admitted, relies_on = await self._admission.admit(asked)
        await self._charge(request, at, asked._replace(obj=admitted))
        for _ in range(ATTEMPTS):
            try:
                return await self.registries[at.resource].create(admitted, intent_of(request, at), relies_on)
            except Mismatch:  # the namespace is not what it was when the object was admitted
                await self._cache.current()
                admitted, relies_on = await self._admission.admit(asked, charged=True)
        raise ServerTimeout(f"namespace {at.namespace!r} is being changed too often, try again")

    async def _charge(self, request: Request, at: Route, asked: Asked) -> None:
        """Take room in the namespace's quotas. Raises Forbidden when somebody else took the last of it, and whatever
        would refuse the object afterwards."""
        names = self._admission.quotas_for(asked)
        if names:
            dry = intent_of(request, at)._replace(dry_run=True)
            await self.registries[at.resource].create(copy(asked.obj), dry)
        for name in names:
            intent = intent_of(request, at)._replace(name=name, decision="quota charged", function=charged, owner=None)
            await self.registries["resourcequotas"].update(intent, lambda quota: charged(quota, asked))

    async def _update(self, request: Request, at: Route, kind: Kind, sent: Callable[[Any], Any]) -> Entry:
        """`sent`: from the object that is there to the one that is to take its place."""
        registry = self.registries[at.resource]

        def change(old: Any) -> Any:
            new = changes.replaced(registry.strategy, old, sent(old))
            return self._admission.changed(_asked("UPDATE", request, at, kind, new))

        return await registry.update(intent_of(request, at), change)

    async def delete(self, request: Request, at: Route, kind: Kind) -> Answer:
        options = bodies.read_delete_options(request)
        change = intent_of(request, at)._replace(dry_run=bodies.is_dry_run(request, options))
        self._admission.changed(_asked("DELETE", request, at, kind))
        done = await deletion.delete(self.registries[at.resource], change, options)
        if kind.type is Namespace and not done.removed:
            # Whoever was told that the namespace ends must not be able to create something in it.
            await self._cache.reached(done.entry.revision, REVISION_SECONDS)
        if self.registries[at.resource].strategy.delete_answers_object:
            return answers.object_answer(request, kind, done.entry)
        return success(request, kind, done.entry)

    async def deletecollection(self, request: Request, at: Route, kind: Kind) -> Answer:
        """Delete what the selectors name, each on its own; answers with the list of what was there.

        Of one namespace: nobody deletes the pods of all of them with one word.
        """
        _check_scope(at, kind)
        options = bodies.read_delete_options(request)
        selection = selection_of(request, at, kind)
        registry = self.registries[at.resource]
        await self._cache.current()
        gone = selection.of(registry.shelf.within(at.namespace))
        for entry in gone:
            namespace, _, name = entry.path.rpartition("/")
            each = at._replace(namespace=namespace, name=name)
            self._admission.changed(_asked("DELETE", request, each, kind))
            change = intent_of(request, each)
            with contextlib.suppress(NotFound):
                await deletion.delete(registry, change, options)
        return answers.list_answer(request, kind, request.path, gone, self._cache.revision, None)


async def reached(cache: Cache, revision: int) -> None:
    """Wait until the cache has got there; raises TooLargeResourceVersion."""
    if not await cache.reached(revision, REVISION_SECONDS):
        raise TooLargeResourceVersion.of(revision, cache.revision)


async def watch_stream(
    cache: Cache, shelf: Shelf, request: Request, selection: Selection, writer: watching.Frames
) -> Stream:
    """The watch that the query describes. Raises BadRequest, Invalid, Expired, TooLargeResourceVersion."""
    query = request.query
    bodies.check_match(query, watch=True)
    seconds = bodies.number(query.get("timeoutSeconds", ""), "timeoutSeconds")
    asked, from_state = query.get("resourceVersion", ""), watching.begins_with_state(request)
    watch = watching.Watch(
        selection,
        None if from_state else watching.watch_revision(asked),
        float(seconds or random.uniform(WATCH_SECONDS, 2 * WATCH_SECONDS)),
        request.flag("allowWatchBookmarks"),
        from_state and request.flag("allowWatchBookmarks"),
    )
    if from_state and asked:
        await reached(cache, watching.parse_revision(asked))
    elif not asked:
        await cache.current()
    start = await watching.begin(cache, shelf, watch, writer)
    outlet = Outlet()
    return Stream(watching.frames(cache, shelf, watch, writer, start, outlet), outlet=outlet)


def _check_scope(at: Route, kind: Kind) -> None:
    """What has a namespace is only changed in one; raises MethodNotAllowed."""
    if kind.namespaced and not at.namespace:
        raise MethodNotAllowed.here()


def selection_of(request: Request, at: Route, kind: Kind) -> Selection:
    """From path and query; raises BadRequest for selectors that are none."""
    fields = request.query.get("fieldSelector", "")
    if at.name:
        fields = f"metadata.name={at.name}" + (f",{fields}" if fields else "")
    labels = parse_selector(request.query.get("labelSelector", ""))
    return Selection(f"{at.namespace}/" if at.namespace else "", labels, parse_field_selector(kind, fields))


def intent_of(request: Request, at: Route) -> Intent:
    """An apply says itself whose fields they are; any other change makes them the client's."""
    owner = None
    if bodies.content_type(request) != patch.APPLY:
        owner = Owner(bodies.manager_of(request), "Update", at.subresource)
    return Intent(at.namespace, at.name, bodies.is_dry_run(request), request.caller, owner=owner)


def applying(request: Request, what: type[Any], subresource: str = "") -> tuple[Callable[[Any], Any], list[str]]:
    """A function from the object that is there to the one with the applied fields; the warnings are there when it was
    called. Raises BadRequest, Invalid; the function raises Conflict as well."""
    wanted = bodies.read_apply(request)
    owner = Owner(wanted.manager, "Apply", subresource)
    left_alone = "spec" if subresource == "status" else "status"
    config = {name: member for name, member in wanted.config.items() if name != left_alone}
    warnings: list[str] = []

    def change(old: Any) -> Any:
        new = applied(codec.to_builtins(old), config, what, owner, wanted.force, timestamp(now()))
        warnings[:] = bodies.field_warnings(request, msgspec.json.encode(new), what, "Warn")
        return codec.from_builtins(new, what)

    return change, warnings


def _asked(
    operation: Literal["CREATE", "UPDATE", "DELETE"], request: Request, at: Route, kind: Kind, obj: Any = None
) -> Asked:
    return Asked(operation, kind, at.namespace, at.name, obj, request.user)


def success(request: Request, kind: Kind, entry: Entry) -> Answer:
    """What DELETE of most kinds answers."""
    meta = entry.decode().metadata
    details = StatusDetails(name=meta.name, kind=kind.resource, uid=meta.uid)
    return answers.answer(request, msgspec.json.encode(Status(status="Success", details=details, code=200)))


def _warned(answer: Answer, warnings: list[str]) -> Answer:
    """`Warning: 299 - "unknown field ..."`, which kubectl prints."""
    if warnings:
        texts = ", ".join('299 - "{}"'.format(text.replace('"', '\\"')) for text in warnings)
        answer.headers = {**answer.headers, "Warning": texts}
    return answer


def _part(
    request: Request, at: Route, kind: Kind, selection: Selection, entries: list[Entry], revision: int, limit: int
) -> Answer:
    """The list, or its first `limit` objects and a token for the rest."""
    rest = None
    if limit and len(entries) > limit:
        more = len(entries) - limit if selection.whole else -1
        rest = (answers.continue_token(entries[limit - 1].path, revision), more)
        entries = entries[:limit]
    return answers.list_answer(request, kind, request.path, entries, revision, rest)

"""POST .../pods/NAME/eviction: delete a pod politely, as `kubectl drain` asks.

Today's Kubernetes asks disruption budgets first; API v1 of 2015 knows none, so nobody objects and it is a DELETE with
the options that the Eviction carries. Source: policy/v1, and the pod's eviction subresource.
"""

from __future__ import annotations

import msgspec

from labkit.api.errors import MethodNotAllowed
from labkit.api.types import DeleteOptions, Eviction, Status
from labkit.components.kube_apiserver import answers, bodies
from labkit.components.kube_apiserver.changes import check_subject
from labkit.components.kube_apiserver.messages import Answer, Request
from labkit.components.kube_apiserver.resources import intent_of
from labkit.components.kube_apiserver.routes import Route
from labkit.storage import deletion
from labkit.storage.registry import Registry


async def evict(pods: Registry, request: Request, at: Route) -> Answer:
    """Raises NotFound, Conflict (a precondition), BadRequest (it names another pod)."""
    if request.method != "POST":
        raise MethodNotAllowed.here()
    eviction: Eviction = bodies.read(request, Eviction)[0]
    check_subject(eviction, at.name, at.namespace)
    options = eviction.delete_options or DeleteOptions()
    intent = intent_of(request, at)._replace(dry_run=bodies.is_dry_run(request, options))
    await deletion.delete(pods, intent, options)
    return answers.answer(request, msgspec.json.encode(Status(status="Success", code=201)), 201)

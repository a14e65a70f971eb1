"""NamespaceLifecycle and NamespaceExists, with the texts of 1.0.7."""

import pytest

from labkit.api.errors import Forbidden
from labkit.components.kube_apiserver.admission import always, namespace_exists, namespace_lifecycle
from tests.unit.components.kube_apiserver.admission.view import Literals, asked, namespace, pod

VIEW = Literals([namespace("default"), namespace("term", "Terminating")])


def test_nothing_new_in_a_terminating_namespace() -> None:
    with pytest.raises(Forbidden) as refused:
        namespace_lifecycle.admit(asked(pod(), namespace="term"), VIEW)
    status = refused.value.status()
    assert status.message == (
        'Pod "p1" is forbidden: Unable to create new content in namespace term because it is being terminated.'
    )
    assert (status.code, status.reason) == (403, "Forbidden")
    assert status.details is not None
    assert (status.details.name, status.details.kind) == ("p1", "Pod")


def test_a_generated_name_is_told_by_its_prefix() -> None:
    with pytest.raises(Forbidden, match=r'^Pod "web-" is forbidden: '):
        namespace_lifecycle.admit(asked(pod("", generate_name="web-"), namespace="term"), VIEW)


def test_what_is_in_a_terminating_namespace_may_change_and_go() -> None:
    given = pod()
    assert namespace_lifecycle.admit(asked(given, "UPDATE", "term"), VIEW) is given
    assert namespace_lifecycle.admit(asked(given, "DELETE", "term"), VIEW) is None


def test_default_is_never_deleted() -> None:
    with pytest.raises(Forbidden) as refused:
        namespace_lifecycle.admit(asked(namespace("default"), "DELETE"), VIEW)
    assert refused.value.message == 'Namespace "default" is forbidden: namespace can never be deleted'
    assert namespace_lifecycle.admit(asked(namespace("term"), "DELETE"), VIEW) is None


def test_a_namespace_that_is_not_there() -> None:
    given = pod()
    assert namespace_lifecycle.admit(asked(given, namespace="nope"), VIEW) is given
    with pytest.raises(Forbidden) as refused:
        namespace_exists.admit(asked(given, namespace="nope"), VIEW)
    assert refused.value.message == 'Pod "p1" is forbidden: Namespace nope does not exist'
    assert namespace_exists.admit(asked(given), VIEW) is given
    made = namespace("nope")
    assert namespace_exists.admit(asked(made), VIEW) is made


def test_the_two_ends() -> None:
    given = pod()
    assert always.admit(asked(given), VIEW) is given
    with pytest.raises(Forbidden) as refused:
        always.deny(asked(given), VIEW)
    assert refused.value.message == 'Pod "p1" is forbidden: Admission control is denying all modifications'

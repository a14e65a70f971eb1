"""The images of one pod's containers: is it here, must it be pulled, and by whom."""

import asyncio
from collections.abc import Callable

from labkit import trace
from labkit.api.types import Container as Spec
from labkit.api.types import Pod, Secret
from labkit.components.kubelet.credentials import Credentials, NotCredentials, credentials_for
from labkit.components.kubelet.images import is_out_of_reach, mend, must_pull, pull_policy
from labkit.components.kubelet.runtime import PAUSE, NoSuchImage, RuntimeFailure, RuntimeUnavailable
from labkit.components.kubelet.setbacks import Setbacks
from labkit.components.kubelet.shared import Shared
from labkit.components.kubelet.sources import SourceFailure, referred_by_pulls


class ImageSupply:
    """A pull goes on in the background: `wake` is called when it has ended."""

    def __init__(self, shared: Shared, setbacks: Setbacks, wake: Callable[[str], None]) -> None:
        self._shared = shared
        self._setbacks = setbacks
        self._wake = wake
        self._mirror = shared.settings.registry_mirror
        self._pulls: dict[str, asyncio.Task[None]] = {}
        self._pulled: set[str] = set()  # containers whose image is here for their next start

    async def have(self, pod: Pod, spec: Spec) -> bool:
        """Whether the image is here for this start; if not, a pull has begun or a setback says why none has."""
        if spec.name in self._pulled:
            self._pulled.discard(spec.name)
            return True
        try:
            present = await self._present(spec.image)
        except RuntimeUnavailable:
            raise
        except RuntimeFailure as exc:
            message = f'Failed to inspect image "{spec.image}": {exc}'
            self._shared.event(pod, "failed", message, spec.name)
            self._setbacks.set(spec.name, "InvalidImageName", message)
            return False
        policy = pull_policy(spec.image_pull_policy, spec.image)
        if must_pull(policy, present):
            self._setbacks.until(spec.name, "ContainerCreating", f"pulling image {spec.image}")
            cause = f"imagePullPolicy {policy}, the image is {'' if present else 'not '}here"
            self._shared.decided("pull image", pod, cause, image=spec.image)
            self._pulls[spec.name] = self._shared.spawn(self._pull(pod, spec), f"image-{spec.image}")
            return False
        if not present:
            self._shared.event(pod, "failed", "Failed to create docker container with error: no such image", spec.name)
            told = f'"{spec.image}" is not here, and imagePullPolicy is Never'
            self._setbacks.set(spec.name, "no such image", told)
        elif spec.name == PAUSE:
            message = f'Pod container image "{spec.image}" already present on machine'
            self._shared.event(pod, "pulled", message, PAUSE)
        return present

    def forget(self, name: str) -> None:
        """Start over with a container."""
        self._pulled.discard(name)
        if (task := self._pulls.pop(name, None)) is not None:
            task.cancel()

    def stop(self) -> None:
        for task in self._pulls.values():
            task.cancel()

    async def _present(self, image: str) -> bool:
        try:
            return bool(await self._shared.runtime.image(image))
        except NoSuchImage:
            return False

    async def _pull(self, pod: Pod, spec: Spec) -> None:
        """Pull in the background and wake the pod."""
        try:
            await self._pull_as_somebody(pod, spec)
        except RuntimeFailure as exc:
            message = f'Failed to pull image "{spec.image}": {exc}{mend(spec.image, self._mirror)}'
            self._shared.event(pod, "failed", message, spec.name)
            self._shared.trace.decision(
                "image not pulled", pod, cause=str(exc), function=self._pull, image=spec.image, container=spec.name
            )
            again = self._setbacks.failed_before(spec.name)
            self._setbacks.set(spec.name, "ImagePullBackOff" if again else "ErrImagePull", message)
        else:
            trace.step(type(self._shared.images).pull, spec.image)
            self._shared.event(pod, "pulled", f'Successfully pulled image "{spec.image}"', spec.name)
            self._pulled.add(spec.name)
            self._setbacks.clear(spec.name)
        del self._pulls[spec.name]
        self._wake("the pull ended")

    async def _pull_as_somebody(self, pod: Pod, spec: Spec) -> None:
        """By each login that the pod has for this registry, until one is let in; by none where it has none."""
        if is_out_of_reach(spec.image, self._mirror):
            raise RuntimeFailure("not asked for")
        logins = [] if spec.name == PAUSE else await self._logins(pod, spec.image)
        for number, login in enumerate(logins or [None], start=1):
            try:
                return await self._shared.images.pull(spec.image, login)
            except RuntimeUnavailable:
                raise
            except RuntimeFailure:
                if number >= len(logins):
                    raise
        return None

    async def _logins(self, pod: Pod, image: str) -> list[Credentials]:
        wanted = referred_by_pulls(pod)
        try:
            found = await self._shared.sources.read(wanted, pod.metadata.namespace)
            secrets = [secret for each in wanted if isinstance(secret := found.get(each), Secret)]
            if absent := [each.name for each in wanted if each not in found]:
                raise NotCredentials(f"not found: {', '.join(absent)}")
            return credentials_for(image, secrets)
        except (SourceFailure, NotCredentials) as exc:
            message = f"Unable to retrieve image pull secrets: {exc}; attempting to pull the image may not succeed."
            self._shared.event(pod, "failedToRetrieveImagePullSecret", message)
            return []

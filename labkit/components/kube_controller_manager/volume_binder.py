"""The persistent volume binder: gives every claim a volume, and tells each volume what became of its claim.

    claim added ----> sync claim:   PUT volume, claimRef = the claim     who is second gets a Conflict and looks again
                                    PUT claim, volumeName                then its status: Bound, modes, capacity
    volume changed -> sync volume:  PUT status: Available, Bound, Released
                                    and the claims that wait look again

Two binders (a second controller manager, while the first still thinks that it leads) do not give one volume to two
claims: every write names the version that was read. Should they give two volumes to one claim, the claim's volumeName
is written once, and the other volume is let go. The decisions are in volume_binding.py.
"""

import asyncio

from labkit.api.errors import NotFound
from labkit.api.types import Object, PersistentVolume, PersistentVolumeClaim, copy, key
from labkit.client.controller import Controller
from labkit.client.events import EventRecorder, reference
from labkit.client.informer import Informer
from labkit.client.own_writes import OwnWrites
from labkit.client.queue import WorkQueue
from labkit.client.rest import Client
from labkit.components.kube_controller_manager.volume_binding import (
    BOUND_BY_CONTROLLER,
    ClaimStep,
    is_bound_to,
    next_of_claim,
    next_of_volume,
)
from labkit.trace import Tracer


class VolumeBinder:
    """Watches volumes and claims; `run()` works until it is cancelled."""

    def __init__(self, client: Client, *, trace: Tracer) -> None:
        self.client = client
        self.trace = trace
        self.events = EventRecorder(client, "persistentvolume-binder", trace=trace)
        self.volumes = Informer(client, PersistentVolume, trace=trace)
        self.claims = Informer(client, PersistentVolumeClaim, trace=trace)
        self._volumes_written = OwnWrites(self.volumes)
        self._claims_written = OwnWrites(self.claims)
        self._told: dict[str, tuple[str, str]] = {}  # claim -> its uid, and why it has no volume
        self.volume_queue, self.claim_queue = WorkQueue(), WorkQueue()
        # One worker each: claims that come at once are served one after the other, and get different volumes.
        self._controllers = [
            Controller("volume-binder", self.volume_queue, self.sync_volume, trace=trace),
            Controller("claim-binder", self.claim_queue, self.sync_claim, trace=trace),
        ]
        self.volumes.on_change(self._volume_changed)
        self.claims.on_change(self._claim_changed)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.events.run())
            group.create_task(self.volumes.run())
            group.create_task(self.claims.run())
            await asyncio.gather(self.volumes.synced(), self.claims.synced())
            for controller in self._controllers:
                group.create_task(controller.run())

    # -- a claim -----------------------------------------------------------------------------------------------------

    async def sync_claim(self, name: str) -> None:
        """Look, decide, act for one claim. A Conflict (somebody was first) is tried again."""
        claim = self._claims_written.newest(name)
        if claim is None or claim.metadata.deletion_timestamp is not None:
            return
        volumes = {each: self._volumes_written.newest(each) or volume for each, volume in self.volumes.store.items()}
        step = next_of_claim(claim, volumes)
        if step.phase == "Lost":
            volumes |= await self._there(claim.spec.volume_name)
            step = next_of_claim(claim, volumes)
        if step.volume is not None:
            await self._bind(claim, step.volume)
            return
        if step.phase != claim.status.phase:
            claim = await self._set_claim_status(claim, step)
        if self._told.get(name) != (claim.metadata.uid, step.why):
            self._told[name] = claim.metadata.uid, step.why
            self.events.event(claim, "ClaimLost" if step.phase == "Lost" else "FailedBinding", step.why)

    async def _bind(self, claim: PersistentVolumeClaim, volume: PersistentVolume) -> None:
        """Three writes, each of which a later look takes up where the one before ended."""
        if not is_bound_to(volume, claim):
            volume = copy(volume)
            if volume.spec.claim_ref is None:
                volume.metadata.annotations[BOUND_BY_CONTROLLER] = "yes"
            volume.spec.claim_ref = reference(claim)
            volume = self._volumes_written.wrote(await self.client.update(volume))
            self._decided("volume bound", volume, self.claim_queue.cause(key(claim)), claim=key(claim))
        if claim.spec.volume_name != volume.metadata.name:
            claim = copy(claim)
            claim.spec.volume_name = volume.metadata.name
            claim = self._claims_written.wrote(await self.client.update(claim))
        await self._set_claim_status(claim, ClaimStep("Bound", volume))

    async def _set_claim_status(self, claim: PersistentVolumeClaim, step: ClaimStep) -> PersistentVolumeClaim:
        """The claim shows what it got."""
        changed = copy(claim)
        changed.status.phase = step.phase
        if step.volume is not None:
            changed.status.access_modes = list(step.volume.spec.access_modes)
            changed.status.capacity = dict(step.volume.spec.capacity)
        if changed.status == claim.status:
            return claim
        stored = self._claims_written.wrote(await self.client.update_status(changed))
        cause = self.claim_queue.cause(key(claim))
        self._decided(f"claim {step.phase.lower()}", stored, cause, volume=stored.spec.volume_name)
        return stored

    async def _there(self, name: str) -> dict[str, PersistentVolume]:
        """What the API server has: before a claim is called lost, the informer is not believed."""
        try:
            return {name: await self.client.get(PersistentVolume, name)}
        except NotFound:
            return {}

    # -- a volume ----------------------------------------------------------------------------------------------------

    async def sync_volume(self, name: str) -> None:
        """Look, decide, act for one volume."""
        volume = self._volumes_written.newest(name)
        if volume is None:
            return
        step = next_of_volume(volume, await self._claim_of(volume))
        if step.let_go:
            volume = await self._let_go(volume)
        if step.phase == volume.status.phase:
            return
        changed = copy(volume)
        changed.status.phase, changed.status.message, changed.status.reason = step.phase, "", ""
        stored = self._volumes_written.wrote(await self.client.update_status(changed))
        self._decided(f"volume {step.phase.lower()}", stored, self.volume_queue.cause(name), was=volume.status.phase)

    async def _claim_of(self, volume: PersistentVolume) -> PersistentVolumeClaim | None:
        """The claim of that name; asked for at the API server before a volume is released."""
        ref = volume.spec.claim_ref
        if ref is None or not ref.uid:
            return None
        claim = self._claims_written.newest(f"{ref.namespace}/{ref.name}")
        if claim is not None and claim.metadata.uid == ref.uid:
            return claim
        try:
            return await self.client.get(PersistentVolumeClaim, ref.name, ref.namespace)
        except NotFound:
            return None

    async def _let_go(self, volume: PersistentVolume) -> PersistentVolume:
        """Take our claimRef away, or what we added to a person's."""
        changed = copy(volume)
        if changed.metadata.annotations.pop(BOUND_BY_CONTROLLER, ""):
            changed.spec.claim_ref = None
        elif changed.spec.claim_ref is not None:
            changed.spec.claim_ref.uid = changed.spec.claim_ref.resource_version = ""
        return self._volumes_written.wrote(await self.client.update(changed))

    def _decided(self, decision: str, obj: Object, cause: str, **fields: str) -> None:
        function = next_of_volume if isinstance(obj, PersistentVolume) else next_of_claim
        self.trace.decision(decision, obj, cause=cause, function=function, **fields)

    # -- what the informers tell -------------------------------------------------------------------------------------

    def _volume_changed(self, old: PersistentVolume | None, new: PersistentVolume | None) -> None:
        """The volume is looked at, and every claim that may wait for it or has lost it."""
        volume = new or old
        if volume is None:
            return
        cause = f"persistentvolumes/{key(volume)} {'deleted' if new is None else 'changed' if old else 'added'}"
        if new is not None:
            self.volume_queue.add(key(new), cause=cause)
        can_be_had = new is not None and (new.spec.claim_ref is None or not new.spec.claim_ref.uid)
        for name, claim in self.claims.store.items():
            if claim.spec.volume_name == volume.metadata.name or (can_be_had and claim.status.phase == "Pending"):
                self.claim_queue.add(name, cause=cause)

    def _claim_changed(self, old: PersistentVolumeClaim | None, new: PersistentVolumeClaim | None) -> None:
        claim = new or old
        if claim is None:
            return
        cause = f"persistentvolumeclaims/{key(claim)} {'deleted' if new is None else 'changed' if old else 'added'}"
        if new is not None:
            self.claim_queue.add(key(new), cause=cause)
        else:
            self._told.pop(key(claim), None)
        for name, volume in self.volumes.store.items():
            ref = volume.spec.claim_ref
            if ref is not None and f"{ref.namespace}/{ref.name}" == key(claim):
                self.volume_queue.add(name, cause=cause)

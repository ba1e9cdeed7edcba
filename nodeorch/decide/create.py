"""Making an instance: its image first, room for it, then its container.

Reads the target version of one workload. Promises: nothing is created without an image and
room; what failed is tried again after its pause.
"""

from __future__ import annotations

from msgspec.structs import replace

from nodeorch.decide.edit import instance_name
from nodeorch.decide.room import request
from nodeorch.decide.turn import Turn
from nodeorch.model.actions import CreateContainer, EnsureImage
from nodeorch.model.job import Run
from nodeorch.model.workload import Workload
from nodeorch.model.world import Code, Instance, Why, WorkloadState


def create(
    turn: Turn,
    state: WorkloadState,
    slot: int,
    old: Instance | None = None,
    run: Run | None = None,
) -> None:
    """``old``: what serves in the slot meanwhile. ``run``: of a job, what the slot is for."""
    record, workload = state.record, state.workload
    name = instance_name(workload.name, slot, record.target.generation)
    if turn.busy(name):
        return
    if name in state.instances:
        words = "its earlier container of the same name is still being removed"
        turn.hold(workload.name, name, Why(code=Code.STUCK, words=words))
        return
    if state.create_next_try is not None and state.create_next_try > turn.now:
        why = Why(code=Code.BACKOFF, words=f"cannot create {name}: {state.create_error}")
        turn.hold(workload.name, name, why, state.create_next_try)
        return
    if not record.image_id:
        _image(turn, state)
        if turn.busy(_image_key(state)):
            turn.room.claim(state, slot, request(state))
        return
    full = turn.room.refuses(state, slot, request(state), instead=old is not None)
    if full is not None:
        turn.hold(workload.name, name, full)
        return
    turn.room.reserve(state, slot, request(state))
    turn.act(
        CreateContainer(
            key=name,
            why=_reason(state, slot, old, run),
            workload=workload.name,
            spec=_with_args(workload, run),
            slot=slot,
            generation=record.target.generation,
            template=record.target.template,
            serial=turn.next_serial(),
            image_id=record.image_id,
        )
    )


def _reason(state: WorkloadState, slot: int, old: Instance | None, run: Run | None) -> Why:
    if run is not None:
        return Why(code=Code.RUN_BEGAN, words=f"for run {run.number}")
    words = f"slot {slot} has no instance of generation {state.record.target.generation}"
    return Why(code=Code.UPDATE if old else Code.MISSING, words=words)


def _with_args(workload: Workload, run: Run | None) -> Workload:
    if run is None or run.args is None:
        return workload
    return replace(workload, main=replace(workload.main, args=run.args))


def _image_key(state: WorkloadState) -> str:
    return f"{state.workload.name}#image"


def _image(turn: Turn, state: WorkloadState) -> None:
    record, main = state.record, state.workload.main
    key = _image_key(state)
    if record.image_next_try is not None and record.image_next_try > turn.now:
        words = f"cannot get image {main.image}: {record.image_error}"
        why = Why(code=Code.IMAGE_FAILED, words=words)
        turn.hold(main.name, "", why, record.image_next_try)
        return
    if turn.busy(key):
        return
    why = Why(code=Code.IMAGE, words=f"image {main.image} is needed (pull: {main.pull.value})")
    turn.act(EnsureImage(key=key, why=why, workload=main.name, image=main.image, policy=main.pull))

"""Which replica of a model gets a request: the one that has its beginning cached, unless it is
much busier than another. Serve runs this wherever a handle of the model is held.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from ray.serve.request_router import PendingRequest, ReplicaID, RequestRouter, RunningReplica

from llm_service.gateway.routing.prefix_affinity import PrefixAffinity, blocks_of


class PrefixRouter(RequestRouter):
    """For methods whose first argument is an Ask."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._affinity = PrefixAffinity()  # replicas that are gone age out of it

    async def choose_replicas(
        self,
        candidate_replicas: list[RunningReplica],
        pending_request: PendingRequest | None = None,
    ) -> list[list[RunningReplica]]:
        """The best replica, then the others for when that one turns out to be full."""
        if not candidate_replicas:
            return []
        busy = {r.replica_id.unique_id: self._running_on(r) for r in candidate_replicas}
        best = None
        if pending_request is not None:
            pending_request.routing_context.should_backoff = True  # once all of them are full
            best = self._affinity.choose(_blocks(pending_request), busy)
        if best is None:
            best = min(busy, key=lambda name: (busy[name], random.random()))
        ranks: tuple[list[RunningReplica], list[RunningReplica]] = ([], [])
        for replica in candidate_replicas:
            ranks[replica.replica_id.unique_id != best].append(replica)
        return [rank for rank in ranks if rank]

    def on_request_routed(
        self,
        pending_request: PendingRequest,
        replica_id: ReplicaID,
        result: Any,  # noqa: ARG002
    ) -> None:
        self._affinity.saw(_blocks(pending_request), replica_id.unique_id)

    def _running_on(self, replica: RunningReplica) -> int:
        return self.replica_queue_len_cache.get(replica.replica_id) or 0


def _blocks(request: PendingRequest) -> Sequence[int]:
    return blocks_of(request.args[0])

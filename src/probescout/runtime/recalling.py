"""Rebuilds the model of a campaign that nobody runs, to look into it: from the journal, changing nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from probescout.core.errors import ProbescoutError, Reason, WrongState
from probescout.core.influence import Influence
from probescout.core.model_view import ModelView
from probescout.core.observations import ScoreState
from probescout.core.ports import BlobStore
from probescout.core.state import Campaign
from probescout.runtime import memory
from probescout.runtime.brain import Brain
from probescout.runtime.child import WorkerFault
from probescout.runtime.choosing import plan_request
from probescout.runtime.teaching import frame_arrays, load_request
from probescout.surrogates.members.catalogue import LEARNT


def recall(directory: Path, state: Campaign, blobs: BlobStore, hash_at: Callable[[int], str]) -> ModelView:
    """Return what the model of a campaign shows, as a server that has just opened the campaign would show it.

    Nothing is fitted: hyperparameters are those of the journal. A learnt representation is not in the journal; it comes
    from the newest snapshot that fits, and is left out, and named in `comments`, without one.

    Args:
        directory: Of the campaign; snapshots may lie there.
        state: What its journal leads to.
        blobs: Of the campaign.
        hash_at: Returns the hash of an event of the journal; empty when there is no such event.

    Raises:
        WrongState: NO_FRAME.
        ProbescoutError: A blob is lost, or a plug-in that the campaign names is not installed or refuses.
    """
    if state.frame is None:
        raise WrongState(Reason.NO_FRAME, f"campaign '{state.id}' has no frame, so there is no model to show")
    brain = Brain()
    try:
        snapshot = memory.load(directory, state, hash_at)
        news = brain.handle({"op": "load", **load_request(state, frame_arrays(state, blobs), snapshot)})
        shown = brain.handle({"op": "maps", **plan_request(state, 1, "")})
        latent = brain.handle({"op": "latent"})
    except ProbescoutError:
        raise
    except Exception as error:
        # Plug-ins of strangers may raise anything.
        raise WorkerFault(f"the model of campaign '{state.id}' failed: {error!r}") from error
    return ModelView(
        maps=shown["maps"],
        latent=latent["latent"],
        representation=latent["representation"],
        weights=shown["weights"],
        n_observed=news["n_observed"],
        influence=Influence.of(news["theory"]) if news["theory"] else None,
        comments=(*_missing(state, shown["weights"]), *shown["degraded"]),
    )


def _missing(state: Campaign, weights: dict[str, float]) -> list[str]:
    """Return what the journal tells of that this model does not know."""
    told = []
    n_pending = sum(o.score_state is ScoreState.PENDING for o in state.observations.values())
    if n_pending:
        told.append(f"{n_pending} measurements had no target yet and are not in the maps")
    fitted = state.hyperparameters.get("members", {})
    told += [
        f"member '{m.name}' took part in the campaign and is left out: no snapshot holds what it learnt"
        for m in LEARNT
        if m.name in fitted and m.name not in weights
    ]
    return told

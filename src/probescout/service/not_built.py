"""The calls of the contract that this server does not have yet; they return UNIMPLEMENTED. The one list of them."""

from __future__ import annotations

NOT_BUILT = frozenset(
    {
        "/probescout.v1.PlannerService/ExportCampaign",
        "/probescout.v1.PlannerService/VerifyCampaign",
    }
)

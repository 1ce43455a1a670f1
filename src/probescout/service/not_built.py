"""The calls of the contract that this server does not have yet; they return UNIMPLEMENTED. The one list of them."""

from __future__ import annotations

NOT_BUILT = frozenset(
    {
        "/probescout.v1.PlannerService/ExportCampaign",
        "/probescout.v1.PlannerService/VerifyCampaign",
        "/probescout.v1.TheoryService/SubmitTheoryJob",
        "/probescout.v1.TheoryService/AcquireTheoryJobs",
        "/probescout.v1.TheoryService/ReportTheoryProgress",
        "/probescout.v1.TheoryService/FinishTheoryJob",
        "/probescout.v1.TheoryService/ListTheoryJobs",
        "/probescout.v1.TheoryService/CancelTheoryJob",
        "/probescout.v1.TheoryService/SetEvidenceState",
    }
)

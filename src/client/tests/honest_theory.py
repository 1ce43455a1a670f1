"""The honest server's simulations: what a client may ask of them."""

import json

from honest_campaign import CODES, RefusalError
from probescout_client.wire.v1 import probescout_pb2 as pb


class TheoryCalls:
    """Mixed into the servicer; a job ends when a test says so with `end`."""

    def submit_theory_job(self, request):
        campaign = self.find(request.campaign)
        if not campaign.spec.theory.engine:
            raise RefusalError(CODES.INVALID_ARGUMENT, "FIELD_MISSING", "declare theory first", "campaign")
        own = request.job_id or "j{}".format(len(self.state.jobs) + 1)
        name = "{}/theoryJobs/{}".format(campaign.name, own)
        if name in self.state.jobs:
            raise RefusalError(CODES.ALREADY_EXISTS, "JOB_EXISTS", "taken", "job_id")
        job = pb.TheoryJob()
        job.CopyFrom(request.job)
        job.name, job.state = name, pb.THEORY_JOB_STATE_QUEUED
        job.engine = job.engine or campaign.spec.theory.engine
        self.state.jobs[name] = job
        campaign.log("TheoryQueued")
        return self.told(job)

    def list_theory_jobs(self, request):
        kept = [j for n, j in self.state.jobs.items() if n.startswith(request.campaign + "/")]
        kept = [j for j in kept if request.state in (0, j.state)]
        start, size = int(request.page_token or 0), request.page_size or 100
        token = str(start + size) if start + size < len(kept) else ""
        return pb.ListTheoryJobsReply(jobs=kept[start : start + size], next_page_token=token)

    def cancel_theory_job(self, request):
        job = self.job(request.name)
        if job.state == pb.THEORY_JOB_STATE_SUCCEEDED:
            raise RefusalError(CODES.FAILED_PRECONDITION, "JOB_STATE_MISMATCH", "it has ended", "name")
        job.state, job.message = pb.THEORY_JOB_STATE_CANCELLED, request.reason
        return self.told(job)

    def set_evidence_state(self, request):
        job = self.job(request.name)
        if job.state != pb.THEORY_JOB_STATE_SUCCEEDED:
            raise RefusalError(CODES.FAILED_PRECONDITION, "JOB_STATE_MISMATCH", "it has no numbers", "name")
        job.evidence_state = request.state
        return self.told(job)

    def job(self, name):
        if name not in self.state.jobs:
            raise RefusalError(CODES.NOT_FOUND, "JOB_NOT_FOUND", "no job '{}'".format(name), "name")
        return self.state.jobs[name]

    def told(self, job):
        return pb.TheoryJobReply(job=job, version=self.find(job.name.split("/theoryJobs/")[0]).version)


def end(state, name, **results):
    """Let a job succeed with numbers in eV."""
    job = state.jobs[name]
    job.state, job.evidence_state = pb.THEORY_JOB_STATE_SUCCEEDED, pb.EVIDENCE_STATE_APPLIED
    for key, value in results.items():
        job.results.add(name=key, value=value, std=float("nan"), unit="eV", is_converged=True)
    job.settings_json = json.dumps({"charge": 0})

"""What one campaign hands on to the next: what its committee says of a patch, wherever that patch lies.

Only those terms of the members are taken that look at the patch itself. A position, and a representation that was
learnt on one image, mean nothing on another.
"""

from __future__ import annotations

import numpy as np

from probescout.core.errors import InvalidInput, Reason
from probescout.surrogates.committee import Committee
from probescout.surrogates.earlier import COMPARABLE, EarlierModel, Term
from probescout.surrogates.kernel import CONSTANT_VARIANCE
from probescout.surrogates.model import Model

LEAST_OBSERVED = 5
"""Fewer measurements teach nothing that is worth handing on."""


def hand_on(committee: Committee) -> EarlierModel:
    """Return what a committee has learnt about patches, without what it learnt from an earlier model or from theory.

    Raises:
        InvalidInput: MODEL_INCOMPATIBLE when it knows too little, or nothing that holds on another image.
    """
    if committee.n_observed < LEAST_OBSERVED:
        raise InvalidInput(
            Reason.MODEL_INCOMPATIBLE,
            f"the campaign has learnt from {committee.n_observed} measurements; {LEAST_OBSERVED} are needed",
        )
    model, shares = committee.plain, committee.plain_weights()
    taken = [
        (k, [g for g, group in enumerate(member.groups) if group.feature in COMPARABLE])
        for k, member in enumerate(model.members)
        if not member.is_deep
    ]
    taken = [(k, groups) for k, groups in taken if groups and shares[k] > 0.0]
    total = sum(shares[k] for k, _ in taken)
    if not taken or not total > 0.0:
        raise InvalidInput(
            Reason.MODEL_INCOMPATIBLE,
            "no member that answers looks at patches alone, and positions mean nothing on another image; run the "
            f"campaign with a member that sees {' or '.join(COMPARABLE)}",
        )
    return _collected(model, [(k, groups, float(shares[k] / total)) for k, groups in taken])


def _collected(model: Model, taken: list[tuple[int, list[int], float]]) -> EarlierModel:
    terms, alphas, constant = [], [], 0.0
    for k, groups, weight in taken:
        member, hyper = model.members[k], model.hyper[model.members[k].name]
        alpha = np.array(model.gps[k].alpha_and_precision()[0])
        constant += weight * CONSTANT_VARIANCE * float(alpha.sum())
        for g in groups:
            terms.append(Term(member.groups[g].feature, weight, hyper.log_lengthscale[g], hyper.log_amplitude[g]))
            alphas.append(alpha)
    used = [name for name in COMPARABLE if any(t.feature == name for t in terms)]
    arrays = model.features.arrays
    return EarlierModel(
        tuple(terms),
        constant,
        np.array(alphas),
        {name: arrays[name][model.measured] for name in used},
        {name: model.features.components[name] for name in used},
    )

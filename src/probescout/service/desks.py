"""Where every servicer finds the campaign that a call names."""

from __future__ import annotations

from probescout.runtime.planner import Desk, Planner
from probescout.service.names import campaign_id


class Desks:
    """The campaigns of a started planner, by resource name."""

    def __init__(self, planner: Planner) -> None:
        """Serve a started planner."""
        self._planner = planner

    def _desk(self, name: str, *, field: str = "campaign") -> Desk:
        return self._planner.desk(campaign_id(name, field=field), field=field)

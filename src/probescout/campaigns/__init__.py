"""Campaigns from a file: several regions one after the other, taken up again after a crash, by hand or by Prefect."""

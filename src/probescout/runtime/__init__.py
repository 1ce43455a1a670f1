"""Carries out the campaign machine's instructions: processes, leases, the degrade ladder; knows no gRPC."""

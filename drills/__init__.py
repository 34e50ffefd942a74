"""Faults injected into the running stack, each with a seed and a verdict: ``make drill``."""

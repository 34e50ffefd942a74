"""The main job on the running stack, told step by step: ``make demo``."""

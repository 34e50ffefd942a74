"""The program that reads a stranger's document (`python -m`): see `finding/reading.py`."""

"""Files of trainings: atomic writes, checkpoints, weights in safetensors, digests of data, versions; and suggestions.

Each is a format or a helper that imports no other folder of `trainers`. Whole run folders are in `runs`.
"""

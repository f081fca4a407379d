"""File formats of trainings: checkpoints, weights in safetensors, digests of data, versions; and atomic writes.

Each file imports no other folder of `trainers`. Whole run folders are in `runs`, what a checkpoint holds in
`training/trainer_state`, when one is written in `callbacks/checkpoint`.
"""

"""What a training shows while it runs: a live line, and a row of a table for each epoch.

It imports no other folder of `trainers`. Plots of runs are in `plots`, metrics of files in `callbacks`.
"""

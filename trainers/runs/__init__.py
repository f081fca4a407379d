"""Run folders and what is done with them: train, resume, evaluate, predict, compare, sweep.

Commands only parse arguments and call functions of this folder; plots of runs are in `plots`.
"""

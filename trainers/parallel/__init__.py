"""Trainings on several processes: who computes what, in which order it is added, how it is exchanged by MPI.

MPI moves numbers, and no more: every sum is taken here, in the order of one binary tree, so that results do not depend
on the number of processes. mpi4py is imported by `communicator.py` alone, when it is needed.
"""

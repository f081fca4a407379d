"""How a model is shown: its summary, its graph as text or SVG, its costs, and both passes with all recorded values.

Plots of trained runs are in `trainers/plots`.
"""

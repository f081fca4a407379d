"""Views of a model: summary, graph as text or SVG, cost estimates, and passes with all recorded values.

Plots of trained runs are in `trainers/plots`.
"""

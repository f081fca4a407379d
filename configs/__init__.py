"""Experiments that come with bprop: `bprop train digits_mlp` finds them by name from anywhere."""

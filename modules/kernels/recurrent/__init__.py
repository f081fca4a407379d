"""Steps of recurrent layers, forward and backward, and the arrangement of sequences of unequal length in steps."""

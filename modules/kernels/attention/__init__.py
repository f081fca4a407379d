"""Kernels of attention: products of small blocks in `block_products`, exponentials of rows in `row_operations`, both
passes in `forward` and `backward`, rotary positions and packing of padded steps in `rotary` and `spans`.

No matrix of queries by keys is written to memory: a block of 64 by 64 at most lies on the stack. The layers are in
`layers/attention`.
"""

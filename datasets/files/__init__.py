"""Readers of file formats: each gives arrays or tables of text, or refuses the file by its name.

What a data set makes of them (splits, scaling, classes) does not belong here; nothing here knows a data set.
"""

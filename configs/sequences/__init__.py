"""Configs of text and other sequences; found by name as those in the folder above."""

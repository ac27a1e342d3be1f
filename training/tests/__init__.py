"""Tests of training; none needs a fetched input, one uses them where they are.

Run as `/usr/bin/python3 -m unittest discover -s training/tests -t .` in the top folder.
"""

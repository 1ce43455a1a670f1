"""The members of the committee: which representations each sees, and what is believed before any data.

`definition` and `catalogue` are plain data and load no torch; `deep` and `convolutional` and what they build on do.
"""

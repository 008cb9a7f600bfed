"""Pictures of what models learned, from the weights their runs kept: one function a kind, one file for related kinds.

    subject.py      a trained cell, opened again: its records, its model with the weights of the last step, its data
    kinds.py        the registry: a file of this folder adds a kind, most by decorating a function
    command.py      python -m bench figures

Nothing here trains. A kind of one cell gets a Subject, of a data set its splits, of the suite the rows of the store; all give a picture.
"""

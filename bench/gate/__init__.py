"""python -m bench gate: is head slower than base, cell by cell, and by how much could it be without our seeing it?

    command    options, exit codes, and what holds a gate together
    trees      what is compared: a revision, checked out aside, or a folder
    elsewhere  a plugin's repository at two revisions, with this suite on both sides; plugged: its files, imported in an arm
    arm        a process that holds one tree's model and runs it when it is its turn
    trio       base, head and base again, taking turns on one core; one trio of fresh processes gives one ratio a cell
    verdicts   ratios of several trios -> slower, faster, same or undecided, corrected for the number of cells
    survey     what both trees have: cells, their exact costs, and what is settled without a clock
    contest    asks for trios until every cell is decided or the time is up
    table      the answer for a terminal, a pull request and a machine
    work       what makes a model slower by a known amount, for the self-test; calibration: how much of it makes which slowdown
    selftest   the gate on code made slower by a known amount, and on unchanged code: what it catches and whom it accuses

What makes two processes with the same code differ here, measured on two cores shared with other work: the core they run on
(arms on cores of their own differ by 5 to 18 %; on one core, by turns, by 1 to 3 %), and how often they take turns (turns of
40 ms: 3 to 9 %; of 3 ms: 1.5 to 2.5 %, in the same total time). So arms share a core, and turns are short.
"""

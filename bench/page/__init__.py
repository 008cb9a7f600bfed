"""python -m bench page: DIR/index.html, one page that opens from the disk without a network and answers the question.

view     the store, the ledger and the figures' file names -> plain facts
build    facts, page.html, its styles and scripts, and the plotting library -> one file
page.js  state, link, filters;  sections.js  answers, claims, pictures, machines;  table.js  the cells;  plots.js  curves and costs
"""

"""python -m bench page: DIR/index.html, one page that opens from the disk without a network and answers the question.

view      the store, the ledger and the pictures -> what the page says;  cells  its table;  details  a card for each model and data set
draw      inline drawings, made of svg's marks and axes;  pictures  those of the results folder, inside the page
build     facts, page.html, page.css and page.js -> one file that says all without JavaScript; the script sorts, filters and hovers
words     what a newcomer does not know, explained where the page first says it
quoted    what README.md and docs/ quote of the results, between marks
"""

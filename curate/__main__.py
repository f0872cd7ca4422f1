"""`python -m curate` is the program `curate`: the one import of this package that goes up."""

from pipelines.cli.program import main

main()

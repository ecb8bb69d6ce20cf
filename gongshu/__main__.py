"""`python -m gongshu` is the command line."""

from gongshu.cli import main

main()

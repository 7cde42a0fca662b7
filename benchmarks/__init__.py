"""How fast things are, each beside a reference that is measured in the same run.

And, in coverage.py, how often intervals hold what they say.

    python -m benchmarks                    all of them, as tables and benchmarks.json
    python -m benchmarks.loader --help      one of them

A benchmark is a module here with `main(argv) -> list[report.Row]`. It takes
`--smallest`, which runs all of it at a size that tests can afford. Seconds are this
machine's; what can be compared are the ratios.
"""

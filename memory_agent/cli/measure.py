"""Verbs that measure: `eval retrieval`, `eval extraction`, `eval distill`."""

import typer

app = typer.Typer()


@app.command()
def retrieval(): ...
@app.command()
def extraction(): ...

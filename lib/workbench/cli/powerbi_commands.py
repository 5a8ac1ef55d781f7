"""Power BI: powerbi, powerbi-refresh."""

from pathlib import Path

import click

from stocklib.settings import Settings
from workbench.cli.base import verb


@verb()
@click.option(
    "--source",
    type=click.Choice(["snowflake", "parquet"]),
    help="Where it reads gold. Default: Snowflake where that is the warehouse, else the files of `stocks export`.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Default: powerbi/ of the project.")
@click.option("--direct", is_flag=True, help="Query Snowflake directly for the latest prices and today's bars.")
@click.option("--theme", type=click.Choice(["light", "dark"]), default="light", show_default=True)
@click.option("--force", is_flag=True, help="Overwrite edits.")
def powerbi(settings: Settings, source: str | None, out: Path | None, direct: bool, theme: str, force: bool) -> None:
    """Write a Power BI project from gold: semantic model, report, and the expected values of its measures."""
    from workbench.powerbi import NAME, write_project

    folder = out or settings.root / "powerbi"
    source = source or ("snowflake" if settings.warehouse == "snowflake" else "parquet")
    written = write_project(settings, folder, source=source, direct=direct, look=theme, force=force)
    reads = "Snowflake" if source == "snowflake" else "the files of `stocks export FOLDER`, which DataFolder names"
    click.echo(
        f"{len(written)} files in {folder}: open {NAME}.pbip in Power BI Desktop (docs/powerbi.md); it reads {reads}"
    )


@verb("powerbi-refresh")
def powerbi_refresh(settings: Settings) -> None:
    """Have Power BI's service refresh the published model (POWERBI_*), and wait for the end."""
    from workbench.powerbi.refresh import refresh

    click.echo(refresh(settings))

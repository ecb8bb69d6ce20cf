"""Why machines stood still: the stops of a run by reason, the longest first, with their running share."""

from itertools import accumulate

from nicegui import ui

from gongshu.apply.model import RunReport
from gongshu.console.charts import pareto
from gongshu.console.frame import View
from gongshu.console.live import PURPOSE
from gongshu.console.widgets import text
from gongshu.errors import GongshuError
from gongshu.secure.gate import SqlQuery

OUTPUT = "oee_stops"
REASONS_MAX = 10


async def show_stops(view: View, report: RunReport) -> None:
    """Show the Pareto of stops; the derived dataset holds the newest run, an older run says so."""
    dataset = next((d for d in report.outputs if d.endswith(OUTPUT)), None)
    if dataset is None:
        return
    run_id = report.run_id.replace("'", "''")
    sql = (
        f"SELECT reason, sum(duration_s) AS seconds FROM {dataset} WHERE run_id = '{run_id}' "
        "GROUP BY reason ORDER BY seconds DESC"
    )

    def read() -> list[tuple[str, float]]:
        found = view.node.gate.read(view.subject, SqlQuery(sql, rows_max=100), purpose=PURPOSE).read_all()
        return list(zip(found["reason"].to_pylist(), found["seconds"].to_pylist(), strict=True))

    try:
        stops = await view.ask(read)
    except GongshuError as error:
        text(str(error)).classes("gs-muted")
        return
    if not stops:
        newest = (await view.ask(view.node.apps.runs, report.app, reader=view.subject, limit=1))[0]
        text(view.t("oee.no_stops" if newest.run_id == report.run_id else "oee.older_run")).classes("gs-muted")
        return
    total = sum(seconds for _, seconds in stops) or 1.0
    shares = [round(100 * share / total, 1) for share in accumulate(seconds for _, seconds in stops)]
    names = [reason or view.t("oee.no_reason") for reason, _ in stops]
    minutes = [round(seconds / 60, 2) for _, seconds in stops]
    options = pareto(
        view.palette,
        names[:REASONS_MAX],
        minutes[:REASONS_MAX],
        shares[:REASONS_MAX],
        unit=view.t("oee.minutes"),
        share=view.t("oee.share"),
    )
    ui.echart(options).style("height: 290px; width: 100%")

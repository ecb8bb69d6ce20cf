"""Runs the ten steps in order, and goes on after one that fails, so that a person sees all that does not hold."""

import time
from collections.abc import Callable
from pathlib import Path

from gongshu.config import NodeRole
from gongshu.demo import partner_steps, plant_steps
from gongshu.demo.cast import ENTERPRISE_PEOPLE, PARTNER_PEOPLE, PROVINCE_PEOPLE, introduce, sign_up
from gongshu.demo.model import Evidence, StepResult
from gongshu.demo.show import Show
from gongshu.demo.stage import Stage

SEED = 67
SPEED = 20.0
"""Cycles of the synthetic machines run so many times faster, so that a short demo holds several parts and stops."""

STEPS: tuple[Callable[[Show], Evidence], ...] = (
    plant_steps.collect,
    plant_steps.store,
    plant_steps.catalogue,
    plant_steps.grade,
    plant_steps.quality,
    partner_steps.gate,
    partner_steps.share,
    partner_steps.apply,
    partner_steps.report,
    partner_steps.audit,
)
STEP_TITLES = {
    "collect": "汇聚 collect",
    "store": "存储 store",
    "catalogue": "编目 catalogue",
    "grade": "分级 grade",
    "quality": "质量 quality",
    "gate": "出口 gate",
    "share": "共享 share",
    "apply": "应用 apply",
    "report": "上报 report",
    "audit": "审计 audit",
}


def raise_curtain(folder: Path, collect_s: float, say: Callable[[str], None]) -> Show:
    """Start the plant and the three nodes, and sign everybody up.

    Raises: DemoFolderUnusable, ProcessFailed. What was started is stopped then.
    """
    stage = Stage(folder)
    stage.require_room()
    try:
        say("starting a synthetic plant …")
        stage.start_plant(seed=SEED, speed=SPEED)
        say("making three nodes: enterprise, partner, province …")
        nodes = [
            stage.make_node("enterprise", NodeRole.ENTERPRISE, title="（合成）示例机加工厂 synthetic machining plant"),
            stage.make_node("partner", NodeRole.PARTNER, title="（合成）示例合作方 synthetic partner"),
            stage.make_node("province", NodeRole.PROVINCE, title="（合成）示例省级平台 synthetic province"),
        ]
        for node in nodes:
            stage.start_node(node)
        for node in nodes:
            stage.node_ready(node)
        stage.plant_ready()
        say("signing people up …")
        enterprise, partner, province = nodes
        show = Show(
            stage,
            collect_s,
            sign_up(enterprise, ENTERPRISE_PEOPLE),
            sign_up(partner, PARTNER_PEOPLE),
            sign_up(province, PROVINCE_PEOPLE),
            say,
        )
        introduce(show.enterprise["owner"], show.partner["owner"])
        return show
    except BaseException:
        stage.stop()
        raise


def run_steps(show: Show, report: Callable[[StepResult], None]) -> list[StepResult]:
    """Run the ten steps; each result goes to `report` as soon as it is there."""
    results = []
    for step in STEPS:
        began = time.monotonic()
        try:
            evidence, ok = str(step(show)), True
        except Exception as error:  # noqa: BLE001  a supervisor: the table shows what failed and goes on (E5)
            evidence, ok = f"{type(error).__name__}: {error}", False
        result = StepResult(step.__name__, ok, round(time.monotonic() - began, 2), evidence)
        report(result)
        results.append(result)
    return results

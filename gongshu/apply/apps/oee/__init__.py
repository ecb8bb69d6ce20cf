"""OEE per ISO 22400-2: availability, effectiveness and quality ratio of each machine, opened down to the readings.

`steps` turns readings into values over time, `timeline` cuts the period into judged segments, `counts` says which parts
count, `factors` evaluates the pack's formulas, `program` puts a run together. All of it is pure; time that cannot be
judged is never counted as good or bad, it is shown.
"""

import pyarrow as pa

from gongshu.apply.spec import AppSpec, InputSpec, OutputSpec, ParamSpec, QualityNeed, ValueKind

_TIME = pa.timestamp("us", tz="UTC")

SPEC = AppSpec(
    name="oee",
    version="1.0",
    title_zh="设备综合效率",
    title_en="Overall equipment effectiveness (OEE)",
    opens="gongshu.apply.apps.oee.program:compute",
    inputs=(
        InputSpec(
            "state",
            "设备状态代码",
            "machine state code",
            ValueKind.INTEGER,
            names=("state_code", "machine_state", "state", "status_code", "设备状态", "运行状态", "shebeizhuangtai"),
        ),
        InputSpec(
            "planned_busy",
            "计划忙碌标志",
            "whether the machine is planned to be busy; without it, the state code decides",
            ValueKind.BOOLEAN,
            required=False,
            names=("planned_busy", "planned", "shift_active", "计划忙碌", "计划生产", "jihuashengchan"),
        ),
        InputSpec(
            "part_count",
            "加工件数（累计）",
            "count of all parts made, growing",
            ValueKind.INTEGER,
            names=("part_count", "parts", "total_count", "piece_count", "加工件数", "产量", "chanliang"),
        ),
        InputSpec(
            "reject_count",
            "不合格件数（累计）",
            "count of rejected parts, growing",
            ValueKind.INTEGER,
            names=("reject_count", "rejects", "scrap_count", "ng_count", "不合格件数", "废品数", "feipinshu"),
        ),
        InputSpec(
            "ideal_cycle",
            "单件计划运行时间（理想节拍）",
            "planned run time per item (ideal cycle)",
            ValueKind.NUMBER,
            unit="s",
            names=("ideal_cycle", "ideal_cycle_time", "planned_run_time", "cycle_target", "理想节拍", "lixiangjiepai"),
        ),
        InputSpec(
            "stop_reason",
            "停机原因",
            "reason code of a stop",
            ValueKind.TEXT,
            required=False,
            names=("stop_reason", "downtime_reason", "fault_code", "停机原因", "tingjiyuanyin"),
        ),
        InputSpec(
            "heartbeat",
            "心跳（连续变化的量）",
            "a value that always flows while the machine is connected; its silence makes time not judged",
            ValueKind.NUMBER,
            need=QualityNeed(readings_min=2, good_ratio_min=0.5),
            required=False,
            names=("heartbeat", "energy", "active_energy", "power", "active_power", "有功电能", "有功功率"),
        ),
    ),
    outputs=(
        OutputSpec(
            "oee_machine",
            "设备综合效率（按设备与时段）",
            "OEE by machine and time bucket",
            pa.schema(
                [
                    pa.field("asset", pa.string()),
                    pa.field("bucket_start", _TIME),
                    pa.field("bucket_end", _TIME),
                    pa.field("pbt_s", pa.float64()),
                    pa.field("apt_s", pa.float64()),
                    pa.field("not_planned_s", pa.float64()),
                    pa.field("not_judged_s", pa.float64()),
                    pa.field("parts", pa.int64()),
                    pa.field("rejects", pa.int64()),
                    pa.field("pri_pq_s", pa.float64()),
                    pa.field("availability", pa.float64()),
                    pa.field("effectiveness", pa.float64()),
                    pa.field("quality_ratio", pa.float64()),
                    pa.field("oee_index", pa.float64()),
                    pa.field("run_id", pa.string()),
                ]
            ),
        ),
        OutputSpec(
            "oee_stops",
            "停机原因（帕累托）",
            "stops by machine and reason (Pareto)",
            pa.schema(
                [
                    pa.field("asset", pa.string()),
                    pa.field("reason", pa.string()),
                    pa.field("element", pa.string()),
                    pa.field("duration_s", pa.float64()),
                    pa.field("stops", pa.int64()),
                    pa.field("run_id", pa.string()),
                ]
            ),
        ),
    ),
    params=(
        ParamSpec("bucket_s", "时段长度（0 为整个区间）", "length of a bucket; 0: one", 3600, "s", 0, 31 * 86_400),
        ParamSpec("silence_max_s", "心跳最长间隔", "longest silence of the heartbeat", 10.0, "s", 0.1, 86_400),
        ParamSpec("hold_max_s", "状态值最长保持", "how long a state is believed", 14_400.0, "s", 1, 7 * 86_400),
        ParamSpec(
            "state_map",
            "状态代码对照（APT 生产, AUST 调整, ADET 延误, ADOT 停机, OFF 计划外）",
            "what each state code means, as elements of ISO 22400-2, or OFF for time that is not planned",
            "1=OFF,2=OFF,3=APT,4=AUST,5=ADOT,6=AUST,7=ADET",
        ),
    ),
    figures=("availability", "effectiveness", "quality_ratio", "oee_index"),
    packs=("iso-22400-2",),
    sources=("ISO 22400-2:2014", "OPC 40501-1 v1.01 Annex C.2.4"),
)
"""`state_map` is the code list of the synthetic plant; a real machine's own list takes its place. `hold_max_s` is half
a shift, `silence_max_s` some publishing intervals of a slow server: both are this project's choices."""

"""The compressor and the energy meter: what the machines draw from them, as one pure step.

The compressor keeps the air net between two pressures by loading and unloading; the meter adds up what everything
takes. Process time as in `physics`; energy in wall time.
"""

from dataclasses import dataclass

from gongshu.simulate.physics import AMBIENT_C, STEP_S

PRESSURE_LOW_BAR = 6.6
PRESSURE_HIGH_BAR = 7.6
BASE_LOAD_KW = 4.2
COMPRESSOR_LOADED_KW = 22.0
COMPRESSOR_IDLE_KW = 6.5
DISCHARGE_LAG_S = 240.0
POWER_FACTOR = 0.86
VOLTAGE_V = 230.0


@dataclass(frozen=True, slots=True)
class UtilityState:
    """The compressor's air net and the plant's supply."""

    pressure_bar: float = 7.0
    loaded: bool = True
    flow_m3_min: float = 0.0
    compressor_kw: float = COMPRESSOR_LOADED_KW
    discharge_c: float = 62.0
    run_s: float = 41_760_000.0
    """Hours run so far in process seconds: a compressor is not new."""
    total_kw: float = BASE_LOAD_KW
    energy_wh: float = 8_123_456_000.0
    """Larger than 32 bits hold, as real plant meters are."""


def step_utilities(now: UtilityState, *, running: int, machines_kw: float, draw: float, speed: float) -> UtilityState:
    """Return the utilities STEP_S of process time later.

    Units: `running` machines take air; `draw` is 0..1.
    """
    demand = 0.6 + 0.55 * running + 0.2 * (draw - 0.5)
    supply = 3.9 if now.loaded else 0.0
    pressure = now.pressure_bar + (supply - demand) * STEP_S / 60.0
    loaded = pressure < PRESSURE_HIGH_BAR if now.loaded else pressure < PRESSURE_LOW_BAR
    compressor_kw = COMPRESSOR_LOADED_KW * (0.94 + 0.02 * pressure / 7.0) if loaded else COMPRESSOR_IDLE_KW
    target_c = AMBIENT_C + (58.0 if loaded else 34.0)
    total_kw = BASE_LOAD_KW + compressor_kw + machines_kw
    return UtilityState(
        pressure_bar=pressure,
        loaded=loaded,
        flow_m3_min=demand,
        compressor_kw=compressor_kw,
        discharge_c=now.discharge_c + (target_c - now.discharge_c) * STEP_S / DISCHARGE_LAG_S,
        run_s=now.run_s + STEP_S,
        total_kw=total_kw,
        energy_wh=now.energy_wh + total_kw * 1000.0 * STEP_S / speed / 3600.0,
    )

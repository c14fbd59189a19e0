//! `[watchdog]`: what becomes of steps that are not like the others.

use serde::{Deserialize, Serialize};

/// `[watchdog]`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct WatchdogSection {
    /// What becomes of a step whose loss or gradient is no number.
    pub not_finite: OnNotFinite,
    /// What becomes of a step whose loss jumps, or whose gradient is many times as long as usual.
    pub spike: OnSpike,
}

/// What becomes of a step whose loss or gradient is no number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnNotFinite {
    /// The run ends there.
    #[default]
    Stop,
    /// The step is left out.
    Skip,
    /// The step is left out; where the next one is odd as well, the run goes back and leaves out steps before them, too.
    RollBack,
}

/// What becomes of a step whose loss jumps, or whose gradient is many times as long as usual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnSpike {
    /// It is said.
    #[default]
    Warn,
    /// The run ends there.
    Stop,
    /// The step is left out.
    Skip,
    /// The step is left out; where the next one is odd as well, the run goes back and leaves out steps before them, too.
    RollBack,
}

//! What a run costs: CPU time, peak memory.

use std::time::Duration;

/// CPU time of all threads of this process since it began.
#[cfg(unix)]
pub(super) fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// The most memory this process has had resident, in bytes. VmHWM and not `ru_maxrss`, which a child inherits from the
/// process that started it.
pub(super) fn peak_rss() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// For the last line: three digits behind the point are more than any of these clocks is good for.
pub(super) fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

pub(super) fn millis(time: Duration) -> f64 {
    rounded(time.as_secs_f64() * 1000.0)
}

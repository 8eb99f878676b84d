//! The clock that all processes of a run share, and waits by it.

use rustix::thread::clock_nanosleep_absolute;
use rustix::time::{ClockId, Timespec, clock_gettime};

const SECOND_NS: u64 = 1_000_000_000;

/// Nanoseconds since the machine started, the same in every process.
pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * SECOND_NS + now.tv_nsec.unsigned_abs()
}

/// Sleeps until `due_ns`; not at all when that is past.
pub fn sleep_until(due_ns: u64) {
    // Cut short by a signal, it sleeps again.
    while now_ns() < due_ns {
        if clock_nanosleep_absolute(rustix::thread::ClockId::Monotonic, &timespec(due_ns)).is_ok() {
            return;
        }
    }
}

/// Sleeps for so long.
pub fn pause_ms(milliseconds: u64) {
    sleep_until(now_ns() + milliseconds * 1_000_000);
}

/// As the system wants it.
pub fn timespec(nanoseconds: u64) -> Timespec {
    Timespec {
        tv_sec: (nanoseconds / SECOND_NS).cast_signed(),
        tv_nsec: (nanoseconds % SECOND_NS).cast_signed(),
    }
}

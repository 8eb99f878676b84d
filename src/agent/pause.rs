//! Whether somebody asked that nothing be handed out: a state and its transitions, without clock.
//!
//! What is in flight is finished, and the window is kept as a hold keeps it: the broker sends no
//! more and counts nothing. A long pause gives the window back, so that other consumers have it.

use std::time::Duration;

use tokio::time::Instant;

/// A pause, where there is one.
#[derive(Debug, Default)]
pub(super) struct Pause(Option<Kept>);

#[derive(Debug)]
struct Kept {
    since: Instant,
    /// The window was given back, and messages are not asked for.
    is_released: bool,
}

impl Pause {
    /// Begins or ends it; `true` where that is a change.
    pub(super) fn order(&mut self, pause: bool, now: Instant) -> bool {
        let changes = pause != self.is_on();
        if changes {
            self.0 = pause.then_some(Kept { since: now, is_released: false });
        }
        changes
    }

    pub(super) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Messages come again, on a new session.
    pub(super) fn kept(&mut self, now: Instant) {
        if let Some(kept) = &mut self.0 {
            *kept = Kept { since: now, is_released: false };
        }
    }

    /// The window was given back.
    pub(super) fn released(&mut self) {
        if let Some(kept) = &mut self.0 {
            kept.is_released = true;
        }
    }

    /// Whether messages are not asked for, because the window was given back.
    pub(super) fn is_released(&self) -> bool {
        self.0.as_ref().is_some_and(|kept| kept.is_released)
    }

    /// When the window is to be given back.
    pub(super) fn release_at(&self, keep_max: Duration) -> Option<Instant> {
        let kept = self.0.as_ref().filter(|kept| !kept.is_released)?;
        Some(kept.since + keep_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: Duration = Duration::from_mins(5);

    #[test]
    fn a_long_pause_gives_the_window_back_once_and_again_after_a_new_session() {
        let now = Instant::now();
        let mut pause = Pause::default();
        assert_eq!(pause.release_at(KEEP), None);
        assert!(pause.order(true, now));
        assert!(!pause.order(true, now + KEEP / 2), "twice is once");
        assert_eq!(pause.release_at(KEEP), Some(now + KEEP));
        pause.released();
        assert!(pause.is_on() && pause.is_released());
        assert_eq!(pause.release_at(KEEP), None);
        pause.kept(now + KEEP);
        assert!(pause.is_on() && !pause.is_released());
        assert_eq!(pause.release_at(KEEP), Some(now + 2 * KEEP));
        assert!(pause.order(false, now) && !pause.is_on() && !pause.is_released());
    }
}

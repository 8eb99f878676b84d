//! Whether the broker gets on with what it was given.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// Answers that did not come for this long are worth a word: a confirm takes milliseconds.
pub(super) const STALL: Duration = Duration::from_secs(5);

/// How many answers are waited for, and since when none has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// Copies, and questions about their queues.
    pub(super) waiting: usize,
    /// `None` while nothing is waited for.
    pub(super) since: Option<Instant>,
    /// Answers so far.
    pub(super) answered: u64,
}

impl Progress {
    /// One more is waited for.
    pub(super) fn began(&mut self, now: Instant) {
        self.waiting += 1;
        self.since.get_or_insert(now);
    }

    /// So many were answered.
    pub(super) fn answered(&mut self, number: usize, now: Instant) {
        self.answered = self.answered.saturating_add(number.try_into().unwrap_or(u64::MAX));
        self.gone(number, now);
    }

    /// So many are waited for no more.
    pub(super) fn gone(&mut self, number: usize, now: Instant) {
        self.waiting = self.waiting.saturating_sub(number);
        self.since = (self.waiting > 0).then_some(now);
    }
}

/// Asks the broker something, which counts as one more answer that is waited for.
pub(super) async fn ask<T, E>(
    progress: &watch::Sender<Progress>,
    question: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    progress.send_modify(|progress| progress.began(Instant::now()));
    let answer = question.await;
    progress.send_modify(|progress| match answer {
        Ok(_) => progress.answered(1, Instant::now()),
        Err(_) => progress.gone(1, Instant::now()),
    });
    answer
}

/// Waits until answers have failed to come for [`STALL`], and gives how it stands then.
pub(super) async fn stalled(progress: &mut watch::Receiver<Progress>) -> Progress {
    loop {
        let since = match progress.wait_for(|progress| progress.since.is_some()).await {
            Ok(progress) => progress.since,
            Err(_) => None,
        };
        // Nobody makes progress any more: nor does this.
        let Some(since) = since else { return std::future::pending().await };
        tokio::time::sleep_until(since + STALL).await;
        let now = *progress.borrow();
        if now.since == Some(since) {
            return now;
        }
    }
}

/// Waits until it gets on after a stall, and says whether by an answer.
pub(super) async fn gets_on(progress: &mut watch::Receiver<Progress>, stalled: Progress) -> bool {
    match progress.wait_for(|progress| progress.since != stalled.since).await {
        Ok(now) => now.answered > stalled.answered,
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn answers_that_come_are_no_stall_and_the_last_one_counts() {
        let (sender, mut receiver) = watch::channel(Progress::default());
        let begin = Instant::now();
        let work = async {
            sender.send_modify(|progress| progress.began(Instant::now()));
            sender.send_modify(|progress| progress.began(Instant::now()));
            sender.send_modify(|progress| progress.began(Instant::now()));
            for _ in 0..2 {
                tokio::time::sleep(STALL * 4 / 5).await;
                sender.send_modify(|progress| progress.answered(1, Instant::now()));
            }
            std::future::pending::<()>().await;
        };
        let stall = tokio::select! {
            stall = stalled(&mut receiver) => stall,
            () = work => unreachable!("it waits"),
        };
        assert_eq!(stall.since, Some(begin + STALL * 8 / 5));
        assert_eq!(stall.waiting, 1);
        sender.send_modify(|progress| progress.answered(1, Instant::now()));
        assert!(gets_on(&mut receiver, stall).await);
        sender.send_modify(|progress| progress.began(Instant::now()));
        let stall = stalled(&mut receiver).await;
        sender.send_modify(|progress| progress.gone(1, Instant::now()));
        assert!(!gets_on(&mut receiver, stall).await);
    }
}

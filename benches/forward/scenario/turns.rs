//! Rounds, in each of which every case has its turn: what the machine does beside them hits all
//! alike.

use crate::Failure;
use crate::contestant::Contestant;
use crate::progress::Progress;
use crate::report::Row;

/// What has a turn in each round.
pub struct Case<C> {
    pub name: String,
    pub what: C,
    /// A peer may fail, and is told of; of ours a failure is the run's.
    pub may_fail: bool,
}

/// Each contestant as a case.
pub fn cases(contestants: Vec<Contestant>) -> Vec<Case<Contestant>> {
    let case = |contestant: Contestant| Case {
        name: contestant.name().to_owned(),
        may_fail: matches!(contestant, Contestant::Peer { .. }),
        what: contestant,
    };
    contestants.into_iter().map(case).collect()
}

/// Calls `turn` for each case in each round; it enters its figures into the row and says them in a
/// line. What failed once has no further turn.
pub fn alternate<C>(
    scenario: &str,
    rounds: usize,
    cases: &[Case<C>],
    mut turn: impl FnMut(&C, &mut Row) -> Result<String, Failure>,
) -> Vec<Row> {
    let mut rows: Vec<_> = cases.iter().map(|case| Row::new(&case.name)).collect();
    let progress = Progress::new(scenario, rounds * cases.len());
    for round in 1..=rounds {
        for (case, row) in cases.iter().zip(&mut rows) {
            if row.has_stopped {
                continue;
            }
            progress.begin(&case.name);
            let told = turn(&case.what, row).unwrap_or_else(|error| {
                row.has_stopped = true;
                row.has_failed = !case.may_fail;
                row.note(format!("failed: {error}"));
                format!("failed: {error}")
            });
            progress.end(&format!("{scenario} {round}/{rounds} {}: {told}", case.name));
        }
    }
    rows
}

//! `status` of a backend: what its answers mean.

use toml::Spanned;

use super::Scope;
use crate::config::spec::BackendSpec;
use crate::config::value::StatusEntry;
use crate::outcome::{Meaning, StatusPattern, StatusPolicy};

/// The usual table with the backend's changes.
pub(super) fn status(spec: &BackendSpec, scope: &mut Scope<'_, '_>) -> StatusPolicy {
    let Some(spec) = spec.status.as_ref().map(Spanned::get_ref) else {
        return StatusPolicy::default();
    };
    let lists = [
        (&spec.success, Meaning::Success),
        (&spec.retry, Meaning::Retry),
        (&spec.dead_letter, Meaning::DeadLetter),
        (&spec.pause, Meaning::Pause),
    ];
    let stated = lists.iter().flat_map(|(list, meaning)| {
        // There are no more codes and classes than that.
        let entries = list.iter().flat_map(|list| list.get_ref().iter().take(505));
        entries.map(|entry| (entry, *meaning))
    });
    // Inherited ones first, so that the agent's own win.
    let (inherited, own): (Vec<_>, Vec<_>) =
        stated.partition(|(entry, _)| scope.is_inherited(&entry.span()));
    for group in [&inherited, &own] {
        twice(group, scope);
    }
    let rules: Vec<(StatusPattern, Meaning)> = inherited
        .iter()
        .chain(&own)
        .map(|(entry, meaning)| (entry.get_ref().0, *meaning))
        .collect();
    StatusPolicy::new(&rules)
}

fn twice(entries: &[(&Spanned<StatusEntry>, Meaning)], scope: &mut Scope<'_, '_>) {
    for (at, (entry, meaning)) in entries.iter().enumerate() {
        let mut before = entries[..at].iter();
        if before.any(|(other, said)| other.get_ref() == entry.get_ref() && said != meaning) {
            scope.report.spoil(
                &entry.span(),
                format!("{} is in two lists", entry.get_ref()),
                "keep it in the one that it belongs to",
            );
        }
    }
}

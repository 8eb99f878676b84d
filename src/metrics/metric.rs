//! A metric, and how its samples are written.

use std::fmt;
use std::time::SystemTime;

use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use crate::meters::{BOUNDS, Buckets};

static SECONDS: Unit = Unit::Seconds;

/// A metric by the name that its samples have, with the names of its labels.
pub(super) struct Metric<const LABELS: usize> {
    name: &'static str,
    labels: [&'static str; LABELS],
    help: &'static str,
}

/// Its name says the type: a counter ends in `_total`, an info in `_info`.
pub(super) const fn metric<const LABELS: usize>(
    name: &'static str,
    labels: [&'static str; LABELS],
    help: &'static str,
) -> Metric<LABELS> {
    Metric { name, labels, help }
}

impl<const LABELS: usize> Metric<LABELS> {
    /// Writes its head; its samples are to follow before another metric's.
    pub(super) fn counter<'e>(
        &'static self,
        encoder: &'e mut DescriptorEncoder<'_>,
    ) -> Result<Counter<'e, LABELS>, fmt::Error> {
        self.begin(MetricType::Counter, "_total", encoder).map(Counter)
    }

    /// As [`Self::counter`].
    pub(super) fn gauge<'e>(
        &'static self,
        encoder: &'e mut DescriptorEncoder<'_>,
    ) -> Result<Gauge<'e, LABELS>, fmt::Error> {
        self.begin(MetricType::Gauge, "", encoder).map(Gauge)
    }

    /// As [`Self::counter`].
    pub(super) fn histogram<'e>(
        &'static self,
        encoder: &'e mut DescriptorEncoder<'_>,
    ) -> Result<Histogram<'e, LABELS>, fmt::Error> {
        self.begin(MetricType::Histogram, "", encoder).map(Histogram)
    }

    /// Writes all of it: an info has one sample, which is its labels.
    pub(super) fn info(
        &'static self,
        values: [&str; LABELS],
        encoder: &mut DescriptorEncoder<'_>,
    ) -> fmt::Result {
        let mut samples = self.begin(MetricType::Info, "_info", encoder)?;
        samples.encoder.encode_info(&samples.labelled(values))
    }

    fn begin<'e>(
        &'static self,
        kind: MetricType,
        suffix: &str,
        encoder: &'e mut DescriptorEncoder<'_>,
    ) -> Result<Samples<'e, LABELS>, fmt::Error> {
        // The encoder adds suffix and unit itself.
        let name = self.name.strip_suffix(suffix).unwrap_or(self.name);
        let (name, unit) = match name.strip_suffix("_seconds") {
            Some(name) => (name, Some(&SECONDS)),
            None => (name, None),
        };
        let encoder = encoder.encode_descriptor(name, self.help, unit, kind)?;
        Ok(Samples { encoder, labels: self.labels })
    }
}

struct Samples<'e, const LABELS: usize> {
    encoder: MetricEncoder<'e>,
    labels: [&'static str; LABELS],
}

impl<const LABELS: usize> Samples<'_, LABELS> {
    fn labelled<'v>(&self, values: [&'v str; LABELS]) -> [(&'static str, &'v str); LABELS] {
        std::array::from_fn(|place| (self.labels[place], values[place]))
    }

    fn write(
        &mut self,
        values: [&str; LABELS],
        sample: impl FnOnce(&mut MetricEncoder<'_>) -> fmt::Result,
    ) -> fmt::Result {
        if LABELS == 0 {
            return sample(&mut self.encoder);
        }
        let labels = self.labelled(values);
        sample(&mut self.encoder.encode_family(&labels)?)
    }
}

/// What only grows.
pub(super) struct Counter<'e, const LABELS: usize>(Samples<'e, LABELS>);

impl<const LABELS: usize> Counter<'_, LABELS> {
    pub(super) fn sample(&mut self, labels: [&str; LABELS], value: u64) -> fmt::Result {
        self.0.write(labels, |encoder| encoder.encode_counter::<NoLabelSet, _, f64>(&value, None))
    }

    pub(super) fn seconds(&mut self, labels: [&str; LABELS], value: f64) -> fmt::Result {
        self.0.write(labels, |encoder| encoder.encode_counter::<NoLabelSet, _, f64>(&value, None))
    }
}

/// What goes up and down.
pub(super) struct Gauge<'e, const LABELS: usize>(Samples<'e, LABELS>);

impl<const LABELS: usize> Gauge<'_, LABELS> {
    pub(super) fn sample(&mut self, labels: [&str; LABELS], value: u64) -> fmt::Result {
        self.0.write(labels, |encoder| encoder.encode_gauge(&value))
    }

    /// In seconds since 1970.
    pub(super) fn time(&mut self, labels: [&str; LABELS], at: SystemTime) -> fmt::Result {
        let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.0.write(labels, |encoder| encoder.encode_gauge(&since.as_secs_f64()))
    }
}

/// How long things took.
pub(super) struct Histogram<'e, const LABELS: usize>(Samples<'e, LABELS>);

impl<const LABELS: usize> Histogram<'_, LABELS> {
    /// With one bucket up to each of `places`, which are in order and of [`BOUNDS`], and one for the rest.
    pub(super) fn sample(
        &mut self,
        labels: [&str; LABELS],
        places: &[usize],
        value: &Buckets,
    ) -> fmt::Result {
        let count = value.count();
        let mut below = 0;
        let mut buckets = Vec::with_capacity(places.len() + 1);
        for place in places {
            let at_most = value.at_most(*place);
            buckets.push((seconds(BOUNDS[*place]), at_most - below));
            below = at_most;
        }
        buckets.push((f64::INFINITY, count - below));
        let sum = value.sum.as_secs_f64();
        self.0.write(labels, |encoder| {
            encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "no bound has more than 52 bits")]
fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

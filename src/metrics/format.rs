//! The two formats that scrapers read.

use std::fmt::Write;

/// How metrics are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `OpenMetrics` 1.0.0, which Prometheus asks for.
    OpenMetrics,
    /// Prometheus' own text format 0.0.4, for whoever asks for nothing, such as `curl`, or for that.
    Text,
}

impl Format {
    /// The format to answer in, by the request's `Accept`.
    ///
    /// What prefers one of the two to the other by `q` is heard; `*/*` alone is no wish.
    #[must_use]
    pub fn accepted(accept: Option<&str>) -> Self {
        let wanted = |name: &str| {
            let ranges = accept.unwrap_or_default().split(',').map(str::trim);
            let named = ranges.filter(|range| range.to_ascii_lowercase().starts_with(name));
            named.map(weight).fold(0.0, f64::max)
        };
        let open = wanted("application/openmetrics-text");
        if open > 0.0 && open >= wanted("text/plain") { Self::OpenMetrics } else { Self::Text }
    }

    /// The `Content-Type` of the answer.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// The `q` of a media range, 1 unless it says otherwise.
fn weight(range: &str) -> f64 {
    let mut parameters = range.split(';').skip(1).map(str::trim);
    let q = parameters.find_map(|one| one.strip_prefix("q=").or_else(|| one.strip_prefix("Q=")));
    q.map_or(1.0, |q| q.parse().unwrap_or(0.0))
}

/// The same metrics in the text format: it has neither infos nor units nor an end, and names a
/// counter as its samples are named.
pub(super) fn without_openmetrics(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut help = ("", "");
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            // The type stands below, and says what the name is here.
            help = rest.split_once(' ').unwrap_or((rest, ""));
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap_or((rest, "untyped"));
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                other => ("", other),
            };
            let (_, help) = help;
            write!(plain, "# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}\n")
                .expect("a String takes all that is written to it");
        } else if !line.starts_with('#') {
            plain.push_str(line);
            plain.push('\n');
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_in_the_format_that_was_asked_for() {
        let prometheus = "application/openmetrics-text;version=1.0.0,\
            application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
            application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;q=0.4,*/*;q=0.1";
        for (accept, format) in [
            (Some(prometheus), Format::OpenMetrics),
            (Some(prometheus_3), Format::OpenMetrics),
            (Some("Application/OpenMetrics-Text; version=1.0.0; Q=0.5"), Format::OpenMetrics),
            (Some("application/openmetrics-text;q=0.2, text/plain;q=0.9"), Format::Text),
            (Some("application/openmetrics-text;q=0, */*"), Format::Text),
            (Some("text/plain;version=0.0.4"), Format::Text),
            (Some("text/html, */*;q=0.8"), Format::Text),
            (Some("*/*"), Format::Text),
            (Some(",;=q"), Format::Text),
            (None, Format::Text),
        ] {
            assert_eq!(Format::accepted(accept), format, "{accept:?}");
        }
    }

    #[test]
    fn the_text_format_names_counters_and_infos_as_their_samples() {
        let open = "# HELP a_seconds How long.\n# TYPE a_seconds counter\n# UNIT a_seconds seconds\n\
            a_seconds_total{x=\"# TYPE\"} 1\n# HELP b What.\n# TYPE b info\nb_info{v=\"1\"} 1\n\
            # HELP c How many.\n# TYPE c gauge\nc 2\n# EOF\n";
        let plain = "# HELP a_seconds_total How long.\n# TYPE a_seconds_total counter\n\
            a_seconds_total{x=\"# TYPE\"} 1\n# HELP b_info What.\n# TYPE b_info gauge\nb_info{v=\"1\"} 1\n\
            # HELP c How many.\n# TYPE c gauge\nc 2\n";
        assert_eq!(without_openmetrics(open), plain);
    }
}

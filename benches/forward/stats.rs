//! Medians and spreads.

/// The figures of several rounds.
#[derive(Debug, Clone, Default)]
pub struct Figures(Vec<f64>);

impl Figures {
    /// One more round's. What could not be measured is not counted.
    pub fn push(&mut self, figure: f64) {
        if figure.is_finite() {
            self.0.push(figure);
            self.0.sort_by(f64::total_cmp);
        }
    }

    pub fn all(&self) -> &[f64] {
        &self.0
    }

    /// The middle one, or the mean of the two in the middle.
    pub fn median(&self) -> Option<f64> {
        let upper = *self.0.get(self.0.len() / 2)?;
        let lower = *self.0.get((self.0.len() - 1) / 2)?;
        Some(f64::midpoint(lower, upper))
    }

    pub fn least(&self) -> Option<f64> {
        self.0.first().copied()
    }

    pub fn most(&self) -> Option<f64> {
        self.0.last().copied()
    }
}

//! Intervals of estimators for samples of various designs.

use rand_chacha::ChaCha8Rng;

use super::super::{AnalysisError, Estimator};
use super::statistic::{Clustered, Difference, Pooled};
use super::{Bootstrap, Design, Interval, IntervalMethod, draw_index, draw_weights, method, start};

/// Values within groups, groups perhaps within groups: seeds of tasks of benchmarks.
#[derive(Clone, Debug, PartialEq)]
pub enum Hierarchy {
    /// The members of an innermost group.
    Values(Vec<f64>),
    /// Groups of the next level; they need not be alike.
    Groups(Vec<Self>),
}

impl Hierarchy {
    fn values(&self) -> Vec<f64> {
        match self {
            Self::Values(values) => values.clone(),
            Self::Groups(groups) => groups.iter().flat_map(Self::values).collect(),
        }
    }

    /// Appends a resample: groups first, then within each that was drawn.
    fn resample(&self, generator: &mut ChaCha8Rng, resampled: &mut Vec<f64>) {
        match self {
            Self::Values(values) => resampled.extend(
                (0..values.len()).map(|_| values[draw_index(generator, values.len()) as usize]),
            ),
            Self::Groups(groups) => {
                for _ in 0..groups.len() {
                    groups[draw_index(generator, groups.len()) as usize]
                        .resample(generator, resampled);
                }
            }
        }
    }

    /// Appends the weight of every value: the product of those of the groups that it is in.
    fn weigh(&self, generator: &mut ChaCha8Rng, weight: f64, weights: &mut Vec<f64>) {
        let mut own = Vec::new();
        match self {
            Self::Values(values) => {
                draw_weights(generator, values.len(), &mut own);
                weights.extend(own.iter().map(|own| weight * own));
            }
            Self::Groups(groups) => {
                draw_weights(generator, groups.len(), &mut own);
                for (group, own) in groups.iter().zip(own) {
                    group.weigh(generator, weight * own, weights);
                }
            }
        }
    }
}

/// The groups of a hierarchy's first level as clusters.
pub(super) struct Nested<'a> {
    pub(super) hierarchy: &'a Hierarchy,
    pub(super) units: &'a [Hierarchy],
    pub(super) clusters: Vec<Vec<f64>>,
    pub(super) resampled: Vec<Vec<f64>>,
    pub(super) generator: ChaCha8Rng,
    pub(super) statistic: Clustered,
}

impl Nested<'_> {
    fn draw(&mut self, resample: usize) {
        start(&mut self.generator, resample);
        for cluster in &mut self.resampled {
            cluster.clear();
            let unit = draw_index(&mut self.generator, self.units.len()) as usize;
            self.units[unit].resample(&mut self.generator, cluster);
        }
    }
}

impl Design for Nested<'_> {
    fn estimate(&self) -> Option<f64> {
        self.statistic.of_clusters(&self.clusters)
    }

    fn error(&self) -> Option<f64> {
        Some(self.statistic.error_of_clusters(&self.clusters))
    }

    fn jackknife(&self) -> Vec<Vec<f64>> {
        let clusters: Vec<&[f64]> = self.clusters.iter().map(Vec::as_slice).collect();
        super::jackknife(&[clusters], |strata| self.statistic.of_clusters(strata.first()?))
    }

    fn resample(&mut self, resample: usize) -> Option<f64> {
        self.draw(resample);
        self.statistic.of_clusters(&self.resampled)
    }

    fn resample_with_error(&mut self, resample: usize) -> Option<(f64, f64)> {
        self.draw(resample);
        Some((
            self.statistic.of_clusters(&self.resampled)?,
            self.statistic.error_of_clusters(&self.resampled),
        ))
    }

    fn reweight(&mut self, resample: usize) -> Option<f64> {
        start(&mut self.generator, resample);
        let mut weights = Vec::new();
        self.hierarchy.weigh(&mut self.generator, 1.0, &mut weights);
        self.statistic.0.weighted(&self.clusters.concat(), &weights)
    }
}

/// Intervals of an [`Estimator`]. Each is `None` where [`Bootstrap::interval`] says so, in
/// particular of an empty sample and of a single unit; a sample of equal values has an interval of
/// no width. A value that is NaN or infinite is an error: missing values are the caller's to leave
/// out and to count.
impl Bootstrap {
    /// One sample, resampled value by value.
    ///
    /// # Errors
    /// When level or number of resamples are out of range, or a value is NaN or infinite.
    pub fn sample(
        &self,
        values: &[f64],
        estimator: Estimator,
    ) -> Result<Option<Interval>, AnalysisError> {
        self.stratified(&[values], estimator)
    }

    /// The estimate of all strata's values together, each stratum resampled on its own so that it
    /// keeps its size.
    ///
    /// # Errors
    /// As [`Self::sample`].
    pub fn stratified(
        &self,
        strata: &[&[f64]],
        estimator: Estimator,
    ) -> Result<Option<Interval>, AnalysisError> {
        finite(strata.iter().copied().flatten())?;
        let values = strata.iter().map(|stratum| stratum.len()).sum();
        self.interval_of(strata, &self.pooled(estimator, values))
    }

    /// The estimate of the first sample minus that of the second, where value `i` of both belongs to
    /// the same replicate: the same replicates are drawn for both.
    ///
    /// # Errors
    /// As [`Self::sample`]; when the samples differ in length.
    pub fn paired(
        &self,
        first: &[f64],
        second: &[f64],
        estimator: Estimator,
    ) -> Result<Option<Interval>, AnalysisError> {
        if first.len() != second.len() {
            return Err(AnalysisError::Unpaired { first: first.len(), second: second.len() });
        }
        finite(first.iter().chain(second))?;
        let pairs: Vec<(f64, f64)> = first.iter().copied().zip(second.iter().copied()).collect();
        self.interval_of(&[&pairs], &Difference([first, second].map(|_| self.pooled(estimator, 0))))
    }

    /// The estimate of the first sample minus that of the second, resampled on their own.
    /// `None` where either has fewer than two values.
    ///
    /// # Errors
    /// As [`Self::sample`].
    pub fn unpaired(
        &self,
        first: &[f64],
        second: &[f64],
        estimator: Estimator,
    ) -> Result<Option<Interval>, AnalysisError> {
        self.check()?;
        finite(first.iter().chain(second))?;
        if first.len().min(second.len()) < 2 {
            return Ok(None);
        }
        let pooled = [first, second].map(|sample| self.pooled(estimator, sample.len()));
        self.interval_of(&[first, second], &Difference(pooled))
    }

    /// The estimate of all clusters' values together; whole clusters are resampled. Clusters may
    /// differ in size, and the size of a resample differs with them.
    ///
    /// # Errors
    /// As [`Self::sample`].
    pub fn clustered(
        &self,
        clusters: &[&[f64]],
        estimator: Estimator,
    ) -> Result<Option<Interval>, AnalysisError> {
        finite(clusters.iter().copied().flatten())?;
        self.interval_of(&[clusters], &Clustered(estimator))
    }

    /// The estimate of all values of a hierarchy together: groups are resampled, then what is in
    /// each group that was drawn, down to the values. `None` where the first level has a single
    /// group, whatever is in it: how groups differ is then unknown. Jackknife values (of the BCa and
    /// the studentized interval) leave out groups of the first level.
    ///
    /// # Errors
    /// As [`Self::sample`].
    pub fn hierarchical(
        &self,
        hierarchy: &Hierarchy,
        estimator: Estimator,
    ) -> Result<Option<Interval>, AnalysisError> {
        self.check()?;
        let Hierarchy::Groups(units) = hierarchy else {
            return self.sample(&hierarchy.values(), estimator);
        };
        let clusters: Vec<Vec<f64>> = units.iter().map(Hierarchy::values).collect();
        finite(clusters.iter().flatten())?;
        if units.len() < 2 {
            return Ok(None);
        }
        let mut nested = Nested {
            hierarchy,
            units,
            resampled: vec![Vec::new(); clusters.len()],
            clusters,
            generator: self.generator(0),
            statistic: Clustered(estimator),
        };
        Ok(method::interval(&mut nested, self))
    }

    /// An estimator with what the method needs of it.
    pub(in super::super) fn pooled(&self, estimator: Estimator, values: usize) -> Pooled {
        Pooled::new(estimator, values, self.method == IntervalMethod::Studentized)
    }
}

fn finite<'a>(mut values: impl Iterator<Item = &'a f64>) -> Result<(), AnalysisError> {
    match values.position(|value| !value.is_finite()) {
        Some(position) => Err(AnalysisError::NotFiniteAt { position }),
        None => Ok(()),
    }
}

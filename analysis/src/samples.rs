//! The values of groups by replicate.

use std::collections::BTreeMap;

use super::mean;

/// The values of a group by replicate, and how many rows had none.
#[derive(Default)]
pub(super) struct Sample {
    pub(super) values: BTreeMap<usize, f64>,
    pub(super) missing: u64,
}

impl Sample {
    /// The values in the order of their replicates.
    pub(super) fn ordered(&self) -> Vec<f64> {
        self.values.values().copied().collect()
    }

    /// The values of the replicates that two groups share, side by side.
    pub(super) fn paired(&self, other: &Self) -> (Vec<f64>, Vec<f64>) {
        let shared = |(replicate, value): (&usize, &f64)| {
            other.values.get(replicate).map(|theirs| (*value, *theirs))
        };
        self.values.iter().filter_map(shared).unzip()
    }

    /// How many replicates only one of two groups has.
    pub(super) fn unpaired(&self, other: &Self) -> u64 {
        let alone = |one: &Self, other: &Self| {
            one.values.keys().filter(|replicate| !other.values.contains_key(replicate)).count()
        };
        (alone(self, other) + alone(other, self)) as u64
    }
}

/// The sample of every group.
#[derive(Default)]
pub(super) struct Samples<'a> {
    pub(super) groups: BTreeMap<&'a str, Sample>,
}

impl<'a> Samples<'a> {
    /// Rows of a group that share a replicate are averaged; rows without a group belong to none.
    pub(super) fn new(
        groups: &'a [Option<String>],
        replicates: &[usize],
        values: &[Option<f64>],
    ) -> Self {
        let mut rows: BTreeMap<&str, (BTreeMap<usize, Vec<f64>>, u64)> = BTreeMap::new();
        for ((group, replicate), value) in groups.iter().zip(replicates).zip(values) {
            let Some(group) = group else { continue };
            let (of_group, missing) = rows.entry(group).or_default();
            match value {
                Some(value) => of_group.entry(*replicate).or_default().push(*value),
                None => *missing += 1,
            }
        }
        let averaged = |mut rows: Vec<f64>| {
            // In order, so that the order of rows shows in not even the last bit.
            rows.sort_unstable_by(f64::total_cmp);
            mean(&rows)
        };
        let sample = |(of_group, missing): (BTreeMap<usize, Vec<f64>>, u64)| Sample {
            values: of_group
                .into_iter()
                .filter_map(|(replicate, rows)| Some((replicate, averaged(rows)?)))
                .collect(),
            missing,
        };
        Self { groups: rows.into_iter().map(|(group, rows)| (group, sample(rows))).collect() }
    }
}

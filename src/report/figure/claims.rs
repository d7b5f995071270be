//! Published numbers above ours.

use super::super::ReportError;
use super::super::claims::ClaimRow;
use super::super::draw::{Axis, Forest, Picture, forest};
use super::super::model::Estimate;
use super::super::numbers::percent;
use super::{Body, Figure, Key, Made, Maker, Mark, Section};

impl<'a> Maker<'a, '_> {
    pub(super) fn claims(&self) -> Made<'a> {
        let claims = &self.model.claims;
        if claims.is_empty() {
            return Ok(None);
        }
        let mut key = vec![
            Key { mark: Mark::Published, text: "published".into() },
            Key { mark: Mark::Ours, text: "ours".into() },
        ];
        if claims.iter().any(|row| row.equal_range().is_some()) {
            key.push(Key { mark: Mark::Equal, text: "counts as equal".into() });
        }
        Ok(Some(Figure {
            id: "claims".into(),
            section: Section::Claims,
            title: "Published numbers and ours".into(),
            caption: format!(
                "Published numbers and ours, each claim on an axis of its own; the upright line \
                 marks zero. Bars: published intervals as published, ours at {}, {METHOD}",
                percent(self.input.options.level)
            ),
            body: Body::Claims { key, plots: claims.iter().map(plot).collect::<Result<_, _>>()? },
            data: Vec::new(),
        }))
    }
}

/// How our intervals are made, as the end of a sentence.
const METHOD: &str = "from Student's t over replicates, paired where all arms of a claim have the \
    same replicates and Welch's elsewhere. Largest differences take the ends of all their contrasts' \
    intervals, with a share of the level each (union-intersection), because the estimate of a \
    largest difference is biased upward. The percentile bootstrap's interval, which that bias makes too \
    high and too narrow, is given for comparison in the last column of the table.";

fn plot(row: &ClaimRow) -> Result<Option<(Axis, Picture)>, ReportError> {
    let published = row.published();
    if row.ours.value.is_none() && published.is_none() {
        return Ok(None);
    }
    let sign = row.equal_range().is_none();
    let numbers = row.ours.numbers().chain(published.iter().flat_map(Estimate::numbers));
    let bounds = row.equal_range().into_iter().flat_map(|(low, high)| [low, high]);
    let Some(axis) = Axis::around(numbers.chain(bounds).chain(sign.then_some(0.0)), 0.06) else {
        return Ok(None);
    };
    let equal = row.equal_range();
    let drawn = forest(&Forest { axis: &axis, published, ours: row.ours, equal, zero: sign })?;
    Ok(Some((axis, drawn)))
}

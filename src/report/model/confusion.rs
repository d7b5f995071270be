//! Confusion matrices of arms.

use std::collections::{BTreeMap, BTreeSet};

use polars::prelude::*;

use super::{ARM, Members, numbers, stacked};
use crate::report::{ReportError, ReportInput};
use crate::studies::ConfusionView;

/// All matrices of a view.
pub(crate) struct Confusions {
    pub(crate) view: ConfusionView,
    /// Names of rows and columns.
    pub(crate) names: Vec<String>,
    /// The matrices, each with the arms that share it and the observer.
    pub(crate) matrices: Vec<Matrix>,
    /// Every matrix of every arm.
    pub(crate) table: DataFrame,
}

/// A matrix.
pub(crate) struct Matrix {
    /// Names of the arms whose matrices are equal.
    pub(crate) arms: Vec<String>,
    pub(crate) observer: String,
    /// Mean shares over the runs of an arm, row by row.
    pub(crate) cells: Vec<Option<f64>>,
}

impl Matrix {
    /// The cells off the diagonal with their row and column.
    pub(crate) fn off_diagonal(&self, size: usize) -> impl Iterator<Item = (usize, usize, f64)> {
        let cells = self.cells.iter().enumerate();
        cells.filter_map(move |(place, share)| {
            let (row, column) = (place / size, place % size);
            share.filter(|_| row != column).map(|share| (row, column, share))
        })
    }
}

impl Confusions {
    pub(super) fn new(
        input: &ReportInput<'_>,
        members: &Members<'_>,
        view: ConfusionView,
        table: &DataFrame,
    ) -> Result<Self, ReportError> {
        let rows = members.rows(table)?;
        let mut columns = vec![view.observer, view.row, view.column, view.share];
        columns.extend(view.order);
        let frame = members.frame(table, &rows, &columns)?;
        let text = |column: &str| -> Result<Vec<String>, ReportError> {
            let column = frame.column(column)?.str()?;
            Ok(column.iter().map(|text| text.unwrap_or_default().to_owned()).collect())
        };
        let (observers, from, to) = (text(view.observer)?, text(view.row)?, text(view.column)?);
        let shares = numbers(&frame, view.share)?;
        let mut places: BTreeMap<&String, usize> = to.iter().map(|name| (name, 0)).collect();
        let ordered = match view.order {
            Some(order) => numbers(&frame, order)?,
            None => vec![None; from.len()],
        };
        let mut keys: BTreeSet<(u64, &String)> = BTreeSet::new();
        for (name, order) in from.iter().zip(ordered) {
            // Places are small and not negative.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let order = order.unwrap_or_default() as u64;
            let first = places.insert(name, usize::MAX) != Some(usize::MAX);
            if first {
                keys.insert((order, name));
            }
        }
        let known: Vec<&String> = keys.into_iter().map(|(_, name)| name).collect();
        let rest = places.iter().filter(|(_, place)| **place == 0).map(|(name, _)| *name);
        let names: Vec<String> = known.into_iter().chain(rest).cloned().collect();
        let size = names.len();
        let places: BTreeMap<&String, usize> =
            names.iter().enumerate().map(|(place, name)| (name, place)).collect();
        let place = |name: &String| places.get(name).copied().unwrap_or_default();
        // Sums and counts of shares by arm and observer.
        let mut sums: BTreeMap<(u64, &str), Vec<(f64, u32)>> = BTreeMap::new();
        for (row, arm) in frame.column(ARM)?.u64()?.iter().enumerate() {
            let Some(arm) = arm else { continue };
            let cells = sums
                .entry((arm, observers[row].as_str()))
                .or_insert_with(|| vec![(0.0, 0); size * size]);
            if let Some(share) = shares[row] {
                let cell = &mut cells[place(&from[row]) * size + place(&to[row])];
                cell.0 += share;
                cell.1 += 1;
            }
        }
        let mut matrices: Vec<Matrix> = Vec::new();
        let mut tables = Vec::new();
        for ((arm, observer), cells) in sums {
            let arm = usize::try_from(arm).unwrap_or(usize::MAX);
            let Some(arm) = input.plan.file.arms.get(arm) else { continue };
            let mean = |(sum, count): &(f64, u32)| (*count > 0).then(|| sum / f64::from(*count));
            let cells: Vec<Option<f64>> = cells.iter().map(mean).collect();
            let repeated = |name: &str| vec![name.to_owned(); size * size];
            let of_row = |pick: fn(usize, usize) -> usize| -> Vec<&str> {
                (0..size * size).map(|cell| names[pick(cell, size)].as_str()).collect()
            };
            tables.push(DataFrame::new(
                size * size,
                vec![
                    Column::new("arm".into(), repeated(&arm.name)),
                    Column::new(view.observer.into(), repeated(observer)),
                    Column::new(view.row.into(), of_row(|cell, size| cell / size)),
                    Column::new(view.column.into(), of_row(|cell, size| cell % size)),
                    Column::new(view.share.into(), cells.clone()),
                ],
            )?);
            let same = |known: &&mut Matrix| known.observer == observer && known.cells == cells;
            match matrices.iter_mut().find(same) {
                Some(known) => known.arms.push(arm.name.clone()),
                None => matrices.push(Matrix {
                    arms: vec![arm.name.clone()],
                    observer: observer.to_owned(),
                    cells,
                }),
            }
        }
        Ok(Self { view, names, matrices, table: stacked(tables)? })
    }
}

//! Who takes what for what.

/// A table of weights: rows are what something is labelled, columns what it is taken for.
#[derive(Clone, Debug, PartialEq)]
pub struct Confusion {
    size: usize,
    cells: Vec<f64>,
}

/// Two classes that are taken for each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConfusedPair {
    /// The class with the smaller number.
    pub first: usize,
    /// The other.
    pub second: usize,
    /// Share of the first that is taken for the second.
    pub forward: f64,
    /// Share of the second that is taken for the first.
    pub backward: f64,
}

impl Confusion {
    /// An empty table over so many classes.
    pub fn new(size: usize) -> Self {
        Self { size, cells: vec![0.0; size * size] }
    }

    /// Adds a weight; classes that do not exist count nowhere.
    pub fn add(&mut self, row: usize, column: usize, weight: f64) {
        if row < self.size && column < self.size {
            self.cells[row * self.size + column] += weight;
        }
    }

    /// Number of classes.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The weight of a cell; zero outside.
    pub fn weight(&self, row: usize, column: usize) -> f64 {
        if row < self.size && column < self.size {
            self.cells[row * self.size + column]
        } else {
            0.0
        }
    }

    /// The weight of a row.
    pub fn row(&self, row: usize) -> f64 {
        (0..self.size).map(|column| self.weight(row, column)).sum()
    }

    /// A cell as a share of its row; `None` where the row is empty.
    pub fn share(&self, row: usize, column: usize) -> Option<f64> {
        let whole = self.row(row);
        (whole > 0.0).then(|| self.weight(row, column) / whole)
    }

    /// The share of all weight that lies off the diagonal; `None` where there is none.
    pub fn off_diagonal(&self) -> Option<f64> {
        let all: f64 = self.cells.iter().sum();
        let kept: f64 = (0..self.size).map(|place| self.weight(place, place)).sum();
        (all > 0.0).then(|| 1.0 - kept / all)
    }

    /// Pearson's correlation of the shares off the diagonal with those of another table of the same
    /// size, over rows that neither leaves empty; `None` where one of them does not vary.
    pub fn off_diagonal_correlation(&self, other: &Self) -> Option<f64> {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for row in 0..self.size {
            for column in (0..self.size).filter(|column| *column != row) {
                if let (Some(a), Some(b)) = (self.share(row, column), other.share(row, column)) {
                    ours.push(a);
                    theirs.push(b);
                }
            }
        }
        pearson(&ours, &theirs)
    }

    /// The same weights over coarser classes; `of` has the coarse class of each.
    pub fn coarser(&self, of: &[usize], size: usize) -> Self {
        let mut coarse = Self::new(size);
        for (row, to_row) in of.iter().enumerate().take(self.size) {
            for (column, to_column) in of.iter().enumerate().take(self.size) {
                coarse.add(*to_row, *to_column, self.weight(row, column));
            }
        }
        coarse
    }

    /// The pairs of classes that are taken for each other, those with the largest smaller direction
    /// first, ties by number; shares are weights divided by those of `totals`. Pairs that are confused
    /// in one direction only are left out.
    pub fn confused_pairs(&self, totals: &[f64], most: usize) -> Vec<ConfusedPair> {
        let share = |from: usize, to: usize| {
            let total = totals.get(from).copied().unwrap_or_default();
            if total > 0.0 { self.weight(from, to) / total } else { 0.0 }
        };
        let mut pairs = Vec::new();
        for first in 0..self.size {
            for second in first + 1..self.size {
                let (forward, backward) = (share(first, second), share(second, first));
                if forward > 0.0 && backward > 0.0 {
                    pairs.push(ConfusedPair { first, second, forward, backward });
                }
            }
        }
        // Stable, so that ties stay in the order of their numbers.
        pairs.sort_by(|a, b| b.forward.min(b.backward).total_cmp(&a.forward.min(a.backward)));
        pairs.truncate(most);
        pairs
    }
}

/// Pearson's correlation of two samples of the same length; `None` where one does not vary.
pub fn pearson(x: &[f64], y: &[f64]) -> Option<f64> {
    let (mx, my) = (super::super::mean(x)?, super::super::mean(y)?);
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in x.iter().zip(y) {
        xy += (x - mx) * (y - my);
        xx += (x - mx).powi(2);
        yy += (y - my).powi(2);
    }
    (xx > 0.0 && yy > 0.0).then(|| xy / (xx.sqrt() * yy.sqrt()))
}

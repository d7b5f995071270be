//! Confusion matrices.

use super::super::draw;
use super::{Body, Figure, Made, Maker, Panel, PanelSize, Panels, Section, capitalised};

/// Matrices that are drawn at most; the table has all of them.
const MOST: usize = 12;
/// Rows that a person can read at most.
const MOST_NAMES: usize = 30;
/// Confusions that a screen reader says of a matrix.
const SAID: usize = 3;

impl<'a> Maker<'a, '_> {
    /// One panel a matrix that differs from the others.
    pub(super) fn confusion(&self, place: usize) -> Made<'a> {
        let confusions = &self.model.confusions[place];
        let (names, view) = (&confusions.names, confusions.view);
        let drawn: Vec<_> = confusions.matrices.iter().take(MOST).collect();
        // A matrix without any share is of arms without runs.
        if drawn.is_empty() || names.is_empty() || names.len() > MOST_NAMES {
            return Ok(None);
        }
        let full = drawn
            .iter()
            .flat_map(|matrix| matrix.off_diagonal(names.len()))
            .map(|(_, _, share)| share)
            .fold(0.0, f64::max);
        let mut panels = Vec::new();
        for matrix in &drawn {
            let mut largest: Vec<_> = matrix.off_diagonal(names.len()).collect();
            largest.sort_by(|a, b| b.2.total_cmp(&a.2));
            let said: Vec<String> = largest
                .iter()
                .take(SAID)
                .map(|(row, column, share)| {
                    format!("{} for {}, {:.1} %", names[*row], names[*column], share * 100.0)
                })
                .collect();
            let arms = matrix.arms.join(", ");
            panels.push(Panel {
                strong: matrix.observer.clone(),
                title: format!("({arms})"),
                key: Vec::new(),
                x_name: None,
                said: format!(
                    "{} of {arms}; the largest confusions: {}.",
                    matrix.observer,
                    said.join("; ")
                ),
                picture: draw::matrix(&draw::Matrix { names, cells: &matrix.cells, full })?,
            });
        }
        let left_out = confusions.matrices.len() - drawn.len();
        let left_out = match left_out {
            0 => String::new(),
            more => format!(" {more} more stand in the table alone."),
        };
        Ok(Some(Figure {
            id: format!("confusion-{}", view.table),
            section: Section::Confusion(place),
            title: capitalised(view.share_label),
            caption: format!(
                "{}, in percent of a row: rows are {}, columns {}, by the numbers of the rows. The \
                 diagonal is grey; other cells are shaded up to {:.1} %, and those that round to zero \
                 are empty. Means over the runs of an arm; arms whose matrices are equal share \
                 one.{left_out}",
                capitalised(view.share_label),
                view.row_label,
                view.column_label,
                full * 100.0
            ),
            body: Body::Panels(Panels {
                size: PanelSize::Single,
                key: Vec::new(),
                x_name: view.column_label.to_owned(),
                y_name: view.row_label.to_owned(),
                panels,
            }),
            data: vec![(format!("confusion-{}", view.table), &confusions.table)],
        }))
    }
}

//! Figures and tables as files of their own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::figure::{self, Figure};
use super::link::csv;
use super::model::Model;
use super::table::{self, Table};
use super::{Options, ReportError, ReportInput, input_of, paper, png, replace};
use crate::store::Results;

/// A figure as a file for papers.
#[derive(Clone, Debug)]
pub struct FigureFile {
    /// What the command line calls it.
    pub id: String,
    /// In a few words.
    pub title: String,
    /// What it shows, with method, number of runs and level.
    pub caption: String,
    /// The command that makes it again.
    pub command: String,
    /// SVG 1.1 with colours of its own, text as text, and everything that it shows in words.
    pub svg: String,
}

impl FigureFile {
    /// As PNG, 300 dots an inch; the same bytes on every machine, because its font comes along.
    ///
    /// # Errors
    /// When it cannot be drawn.
    pub fn png(&self) -> Result<Vec<u8>, ReportError> {
        png::png(&self.svg)
    }
}

/// A table as files.
#[derive(Clone, Debug)]
pub struct TableFile {
    /// Name of its files, without their endings.
    pub id: String,
    /// Every number with its method beside it; of a table that is shown, its rows and more.
    pub csv: Vec<u8>,
    /// As the report shows it, in GitHub's Markdown; `None` of tables that are too long to be shown.
    pub markdown: Option<String>,
    /// As the report shows it, in LaTeX with the package booktabs.
    pub latex: Option<String>,
}

/// Every figure of a report.
///
/// # Errors
/// When a column is missing, or a figure cannot be drawn.
pub fn figures(input: &ReportInput<'_>) -> Result<Vec<FigureFile>, ReportError> {
    let model = Model::new(input)?;
    let figures = figure::all(input, &model)?;
    Ok(figures.iter().map(|figure| figure_file(input, &model, figure)).collect())
}

/// Every table of a report.
///
/// # Errors
/// When a column is missing.
pub fn tables(input: &ReportInput<'_>) -> Result<Vec<TableFile>, ReportError> {
    let model = Model::new(input)?;
    table_files(input, &figure::all(input, &model)?, &table::all(input, &model))
}

fn figure_file(input: &ReportInput<'_>, model: &Model, figure: &Figure<'_>) -> FigureFile {
    let command = input.figure_command(&figure.id);
    FigureFile {
        id: figure.id.clone(),
        title: figure.title.clone(),
        caption: figure.caption.clone(),
        svg: paper::svg(figure, model, &command),
        command,
    }
}

fn table_files(
    input: &ReportInput<'_>,
    figures: &[Figure<'_>],
    tables: &[Table<'_>],
) -> Result<Vec<TableFile>, ReportError> {
    let mut files: BTreeMap<String, TableFile> = BTreeMap::new();
    let frames = tables.iter().flat_map(|table| &table.data);
    for (name, frame) in frames.chain(figures.iter().flat_map(|figure| &figure.data)) {
        if frame.width() > 0 && !files.contains_key(name) {
            let (id, csv) = (name.clone(), csv(frame)?);
            files.insert(name.clone(), TableFile { id, csv, markdown: None, latex: None });
        }
    }
    let command = input.tables_command();
    for table in tables {
        if let Some(file) = files.get_mut(&table.id) {
            file.markdown = Some(table.markdown(&command));
            file.latex = Some(table.latex(&command));
        }
    }
    Ok(files.into_values().collect())
}

/// What to write of a results directory, and where.
#[derive(Clone, Debug, Default)]
pub struct Exports<'a> {
    /// One figure by its name, and its file, which ends in `.svg` or `.png`.
    pub figure: Option<(&'a str, &'a Path)>,
    /// The folder of all figures, as SVG and PNG.
    pub figures: Option<&'a Path>,
    /// The folder of all tables: CSV, and Markdown and LaTeX of those that a report shows.
    pub tables: Option<&'a Path>,
}

/// Writes figures and tables of a results directory; returns the files in the order of writing.
///
/// # Errors
/// When the results cannot be read, there is no such figure, or a file cannot be written.
pub fn export(
    results: &Results,
    options: &Options,
    exports: &Exports<'_>,
) -> Result<Vec<PathBuf>, ReportError> {
    let input = input_of(results, options)?;
    let model = Model::new(&input)?;
    let (figures, tables) = (figure::all(&input, &model)?, table::all(&input, &model));
    let mut written = Vec::new();
    if let Some((id, path)) = exports.figure {
        let figure = figures.iter().find(|figure| figure.id == id).ok_or_else(|| {
            let known: Vec<String> = figures.iter().map(|figure| figure.id.clone()).collect();
            let nearest = flags::nearest(id, known.iter().map(String::as_str)).map(str::to_owned);
            ReportError::UnknownFigure { id: id.to_owned(), nearest, known }
        })?;
        let file = figure_file(&input, &model, figure);
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("svg") => replace(path, file.svg.as_bytes())?,
            Some("png") => replace(path, &file.png()?)?,
            _ => return Err(ReportError::FigureFormat(path.to_owned())),
        }
        written.push(path.to_owned());
    }
    let mut write = |folder: &Path, name: String, bytes: &[u8]| {
        let path = folder.join(name);
        replace(&path, bytes)?;
        written.push(path);
        Ok::<(), ReportError>(())
    };
    if let Some(folder) = exports.figures {
        create(folder)?;
        for figure in &figures {
            let file = figure_file(&input, &model, figure);
            write(folder, format!("{}.svg", file.id), file.svg.as_bytes())?;
            write(folder, format!("{}.png", file.id), &file.png()?)?;
        }
    }
    if let Some(folder) = exports.tables {
        create(folder)?;
        for table in table_files(&input, &figures, &tables)? {
            write(folder, format!("{}.csv", table.id), &table.csv)?;
            if let (Some(markdown), Some(latex)) = (&table.markdown, &table.latex) {
                write(folder, format!("{}.md", table.id), markdown.as_bytes())?;
                write(folder, format!("{}.tex", table.id), latex.as_bytes())?;
            }
        }
    }
    Ok(written)
}

fn create(folder: &Path) -> Result<(), ReportError> {
    std::fs::create_dir_all(folder)
        .map_err(|source| ReportError::Write { path: folder.to_owned(), source })
}

//! A user's own annotations, read row by row: a table of any length takes the memory of its images.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use polars::prelude::{Column, DataFrame, DataType, ParquetReader, PolarsError, SerReader};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::config::Config;
use crate::data::parquet_metadata;

/// Rows of a Parquet file that are decoded together.
const BATCH: usize = 65_536;
/// Wrong rows that a message names.
const MOST_NAMED: usize = 10;
/// Columns of predictions begin so.
const CORRECT: &str = "correct_";

/// Why annotations cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum VotesError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// It is another file than the configuration says.
    #[error(
        "{} has the SHA-256 {found}, not {expected}: set `sha256` to the former if this is the file \
         that you mean", path.display()
    )]
    Different {
        /// The file.
        path: PathBuf,
        /// Its hash.
        found: String,
        /// The configured one.
        expected: String,
    },
    /// Its name does not say what it is.
    #[error("{} is named neither .parquet nor .csv nor .jsonl", .0.display())]
    Format(PathBuf),
    /// It is damaged, or not what its name says.
    #[error("cannot read {}: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// It lacks a column.
    #[error("{} has no column `{column}`; it has {}", path.display(), found.join(", "))]
    NoColumn {
        /// The file.
        path: PathBuf,
        /// The column.
        column: &'static str,
        /// Its columns.
        found: Vec<String>,
    },
    /// Some rows are wrong.
    #[error("{}: {}{}", path.display(), rows.join("; "), others(*more))]
    Rows {
        /// The file.
        path: PathBuf,
        /// The first of them, each with its number from 1 (the header is none).
        rows: Vec<String>,
        /// How many others there are.
        more: u64,
    },
}

fn others(more: u64) -> String {
    if more == 0 { String::new() } else { format!("; and {more} more wrong rows") }
}

/// Votes and predictions of one dataset.
#[derive(Debug, Default)]
pub(super) struct Side {
    places: BTreeMap<String, usize>,
    pub(super) selected: Vec<u64>,
    pub(super) annotators: Vec<u64>,
    /// By model and image.
    pub(super) correct: Vec<Vec<bool>>,
}

/// What a file holds.
#[derive(Debug)]
pub(super) struct Votes {
    pub(super) models: Vec<String>,
    pub(super) reference: Side,
    pub(super) replication: Side,
}

/// One row, as far as it could be read.
struct Row<'a> {
    dataset: &'a str,
    image: &'a str,
    selected: Option<u64>,
    total: Option<u64>,
    /// By model.
    correct: &'a [Option<bool>],
}

/// Gathers rows.
struct Gathering {
    votes: Votes,
    /// Whether rows are counts rather than single votes.
    counts: bool,
    row: u64,
    wrong: Vec<String>,
    more: u64,
}

impl Gathering {
    fn new(path: &Path, columns: &[String]) -> Result<Self, VotesError> {
        for column in ["dataset", "image", "selected"] {
            if !columns.iter().any(|other| other == column) {
                let (path, found) = (path.to_owned(), columns.to_vec());
                return Err(VotesError::NoColumn { path, column, found });
            }
        }
        let models: Vec<String> = columns
            .iter()
            .filter_map(|name| name.strip_prefix(CORRECT))
            .map(str::to_owned)
            .collect();
        if models.is_empty() {
            let (path, found) = (path.to_owned(), columns.to_vec());
            return Err(VotesError::NoColumn { path, column: "correct_MODEL", found });
        }
        let side = || Side { correct: vec![Vec::new(); models.len()], ..Side::default() };
        let (reference, replication) = (side(), side());
        Ok(Self {
            votes: Votes { models, reference, replication },
            counts: columns.iter().any(|name| name == "total"),
            row: 0,
            wrong: Vec::new(),
            more: 0,
        })
    }

    fn add(&mut self, row: &Row<'_>) {
        self.row += 1;
        if let Err(problem) = self.try_add(row) {
            if self.wrong.len() < MOST_NAMED {
                self.wrong.push(format!("row {}: {problem}", self.row));
            } else {
                self.more += 1;
            }
        }
    }

    fn try_add(&mut self, row: &Row<'_>) -> Result<(), String> {
        let side = match row.dataset {
            "v1" => &mut self.votes.reference,
            "v2" => &mut self.votes.replication,
            other => return Err(format!("dataset is {other:?}, not \"v1\" or \"v2\"")),
        };
        if row.image.is_empty() {
            return Err("there is no image".to_owned());
        }
        let (selected, total) = if self.counts {
            let (Some(selected), Some(total)) = (row.selected, row.total) else {
                return Err("selected or total is no count".to_owned());
            };
            if total == 0 || selected > total {
                return Err(format!("{selected} selections of {total} annotators are impossible"));
            }
            (selected, total)
        } else {
            match row.selected {
                Some(selected @ 0..=1) => (selected, 1),
                _ => return Err("selected is neither true nor false".to_owned()),
            }
        };
        if let Some(model) = row.correct.iter().position(Option::is_none) {
            let model = &self.votes.models[model];
            return Err(format!("{CORRECT}{model} is neither true nor false"));
        }
        let right = row.correct.iter().map(|correct| *correct == Some(true));
        let Some(&place) = side.places.get(row.image) else {
            side.places.insert(row.image.to_owned(), side.selected.len());
            side.selected.push(selected);
            side.annotators.push(total);
            for (column, right) in side.correct.iter_mut().zip(right) {
                column.push(right);
            }
            return Ok(());
        };
        if self.counts {
            return Err(format!("image {} of {} has a row already", row.image, row.dataset));
        }
        let differs =
            side.correct.iter().zip(right).position(|(column, right)| column[place] != right);
        if let Some(model) = differs {
            let model = &self.votes.models[model];
            return Err(format!("{CORRECT}{model} differs from an earlier row of {}", row.image));
        }
        side.selected[place] += selected;
        side.annotators[place] += total;
        Ok(())
    }

    fn finish(self, path: &Path) -> Result<Votes, VotesError> {
        let empty = |side: &Side| side.selected.is_empty();
        let path = path.to_owned();
        if !self.wrong.is_empty() {
            return Err(VotesError::Rows { path, rows: self.wrong, more: self.more });
        }
        if empty(&self.votes.reference) || empty(&self.votes.replication) {
            let reason = "it needs rows of both datasets, \"v1\" and \"v2\"".to_owned();
            return Err(VotesError::Content { path, reason });
        }
        Ok(self.votes)
    }
}

/// Reads the file that a configuration names.
pub(super) fn read(config: &Config) -> Result<Votes, VotesError> {
    let path = Path::new(&config.path);
    let open =
        || File::open(path).map_err(|source| VotesError::Io { path: path.to_owned(), source });
    let found = hash(open()?).map_err(|source| VotesError::Io { path: path.to_owned(), source })?;
    if found != config.sha256 {
        let (path, expected) = (path.to_owned(), config.sha256.clone());
        return Err(VotesError::Different { path, found, expected });
    }
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("parquet") => of_parquet(path, open()?),
        Some("csv") => of_csv(path, open()?),
        Some("jsonl") => of_json_lines(path, open()?),
        _ => Err(VotesError::Format(path.to_owned())),
    }
}

fn hash(mut file: File) -> io::Result<String> {
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect());
        }
        digest.update(&buffer[..read]);
    }
}

fn damaged(path: &Path, reason: impl ToString) -> VotesError {
    VotesError::Content { path: path.to_owned(), reason: reason.to_string() }
}

/// A vote or a count.
fn number(text: &str) -> Option<u64> {
    match text {
        "true" | "True" | "TRUE" => Some(1),
        "false" | "False" | "FALSE" => Some(0),
        _ => text.parse().ok(),
    }
}

fn flag(number: Option<u64>) -> Option<bool> {
    match number {
        Some(0) => Some(false),
        Some(1) => Some(true),
        _ => None,
    }
}

/// Reads comma-separated values record by record.
struct Records<R> {
    input: BufReader<R>,
    reader: csv_core::Reader,
    text: Vec<u8>,
    ends: Vec<usize>,
    fields: usize,
}

impl<R: Read> Records<R> {
    fn new(input: R) -> Self {
        Self {
            input: BufReader::new(input),
            reader: csv_core::Reader::new(),
            text: vec![0; 1 << 12],
            ends: vec![0; 64],
            fields: 0,
        }
    }

    /// Whether there is a next record, which [`Self::field`] then shows.
    fn advance(&mut self) -> io::Result<bool> {
        use csv_core::ReadRecordResult::{End, InputEmpty, OutputEndsFull, OutputFull, Record};
        let (mut written, mut fields) = (0, 0);
        loop {
            let buffer = self.input.fill_buf()?;
            let (result, read, wrote, ended) = self.reader.read_record(
                buffer,
                &mut self.text[written..],
                &mut self.ends[fields..],
            );
            self.input.consume(read);
            written += wrote;
            fields += ended;
            match result {
                InputEmpty => {}
                OutputFull => self.text.resize(2 * self.text.len(), 0),
                OutputEndsFull => self.ends.resize(2 * self.ends.len(), 0),
                Record => {
                    self.fields = fields;
                    return Ok(true);
                }
                End => return Ok(false),
            }
        }
    }

    /// A field of the record; empty where there is none, or where it is no UTF-8.
    fn field(&self, place: usize) -> &str {
        if place >= self.fields {
            return "";
        }
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        std::str::from_utf8(&self.text[start..self.ends[place]]).unwrap_or("")
    }
}

fn of_csv(path: &Path, file: File) -> Result<Votes, VotesError> {
    let unread = |source| VotesError::Io { path: path.to_owned(), source };
    let mut records = Records::new(file);
    if !records.advance().map_err(unread)? {
        return Err(damaged(path, "it is empty"));
    }
    let columns: Vec<String> =
        (0..records.fields).map(|place| records.field(place).to_owned()).collect();
    let mut gathering = Gathering::new(path, &columns)?;
    let place = |name: &str| columns.iter().position(|column| column == name);
    let (dataset, image) = (place("dataset"), place("image"));
    let (selected, total) = (place("selected"), place("total"));
    let predictions: Vec<usize> =
        (0..columns.len()).filter(|column| columns[*column].starts_with(CORRECT)).collect();
    let mut correct = Vec::new();
    while records.advance().map_err(unread)? {
        let cell = |place: Option<usize>| place.map_or("", |place| records.field(place));
        correct.clear();
        correct.extend(predictions.iter().map(|column| flag(number(records.field(*column)))));
        gathering.add(&Row {
            dataset: cell(dataset),
            image: cell(image),
            selected: number(cell(selected)),
            total: number(cell(total)),
            correct: &correct,
        });
    }
    gathering.finish(path)
}

fn of_json_lines(path: &Path, file: File) -> Result<Votes, VotesError> {
    let mut gathering: Option<Gathering> = None;
    let mut correct = Vec::new();
    for (line, text) in (1_u64..).zip(BufReader::new(file).lines()) {
        let text = text.map_err(|source| VotesError::Io { path: path.to_owned(), source })?;
        if text.trim().is_empty() {
            continue;
        }
        let row: Map<String, Value> = serde_json::from_str(&text)
            .map_err(|error| damaged(path, format!("line {line}: {error}")))?;
        let gathering = match &mut gathering {
            Some(gathering) => gathering,
            // The first row says which columns there are.
            None => {
                gathering.insert(Gathering::new(path, &row.keys().cloned().collect::<Vec<_>>())?)
            }
        };
        let count = |name: &str| match row.get(name) {
            Some(Value::Bool(value)) => Some(u64::from(*value)),
            Some(Value::Number(value)) => value.as_u64(),
            _ => None,
        };
        let text = |name: &str| match row.get(name) {
            Some(Value::String(value)) => value.clone(),
            Some(Value::Number(value)) => value.to_string(),
            _ => String::new(),
        };
        correct.clear();
        let models = gathering.votes.models.iter();
        correct.extend(models.map(|model| flag(count(&format!("{CORRECT}{model}")))));
        gathering.add(&Row {
            dataset: &text("dataset"),
            image: &text("image"),
            selected: count("selected"),
            total: count("total"),
            correct: &correct,
        });
    }
    gathering.ok_or_else(|| damaged(path, "it is empty"))?.finish(path)
}

fn of_parquet(path: &Path, mut file: File) -> Result<Votes, VotesError> {
    let damage = |error: PolarsError| damaged(path, error);
    let metadata = parquet_metadata(&mut file).map_err(damage)?;
    let columns: Vec<String> =
        metadata.schema().fields().iter().map(|field| field.name().to_owned()).collect();
    let mut gathering = Gathering::new(path, &columns)?;
    let used = |name: &String| {
        ["dataset", "image", "selected", "total"].contains(&name.as_str())
            || name.starts_with(CORRECT)
    };
    let used: Vec<String> = columns.into_iter().filter(used).collect();
    let mut from = 0;
    while from < metadata.num_rows {
        let file =
            file.try_clone().map_err(|source| VotesError::Io { path: path.to_owned(), source })?;
        let mut reader = ParquetReader::new(file)
            .with_columns(Some(used.clone()))
            .with_slice(Some((from, BATCH)))
            .set_low_memory(true);
        reader.set_metadata(metadata.clone());
        add_batch(&mut gathering, &reader.finish().map_err(damage)?).map_err(damage)?;
        from += BATCH;
    }
    gathering.finish(path)
}

fn add_batch(gathering: &mut Gathering, batch: &DataFrame) -> Result<(), PolarsError> {
    let texts = |name: &str| batch.column(name)?.cast(&DataType::String);
    // Negative numbers are no counts.
    let numbers = |column: &Column| -> Result<Vec<Option<u64>>, PolarsError> {
        let column = column.cast(&DataType::Int64)?;
        Ok(column.i64()?.iter().map(|value| u64::try_from(value?).ok()).collect())
    };
    let (dataset, image) = (texts("dataset")?, texts("image")?);
    let (dataset, image) = (dataset.str()?, image.str()?);
    let selected = numbers(batch.column("selected")?)?;
    let total = if gathering.counts { numbers(batch.column("total")?)? } else { Vec::new() };
    let predictions = gathering
        .votes
        .models
        .iter()
        .map(|model| {
            let values = numbers(batch.column(&format!("{CORRECT}{model}"))?)?;
            Ok(values.into_iter().map(flag).collect())
        })
        .collect::<Result<Vec<Vec<Option<bool>>>, PolarsError>>()?;
    let mut correct = Vec::new();
    for row in 0..batch.height() {
        correct.clear();
        correct.extend(predictions.iter().map(|column| column[row]));
        gathering.add(&Row {
            dataset: dataset.get(row).unwrap_or(""),
            image: image.get(row).unwrap_or(""),
            selected: selected[row],
            total: total.get(row).copied().flatten(),
            correct: &correct,
        });
    }
    Ok(())
}

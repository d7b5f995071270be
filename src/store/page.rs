//! The page that describes every table and column.

use std::fmt::{self, Write};

use super::schema::{RUN_COLUMNS, RUNS_KEY, flag_type};
use super::{RUNS, SCHEMA_VERSION};
use crate::studies::{Column, ColumnType, Study};

/// The manual's page on results directories, in Markdown: layout, manifest, and every table of
/// these studies with every column.
pub fn schema_page(studies: &[&dyn Study]) -> String {
    let mut page = String::new();
    // Writing to a string cannot fail.
    let _ = write_page(&mut page, studies);
    page
}

fn write_page(page: &mut String, studies: &[&dyn Study]) -> fmt::Result {
    write!(page, "{}", INTRODUCTION.replace("{SCHEMA_VERSION}", &SCHEMA_VERSION.to_string()))?;
    for study in studies {
        write_study(page, *study)?;
    }
    Ok(())
}

const INTRODUCTION: &str = "\
# Results directories

Results schema {SCHEMA_VERSION}. This page is generated from the program: \
`CETERIS_UPDATE_DOCS=1 cargo test --test store` writes it again.

## Layout

```text
manifest.json                  what wrote the directory, the study file, every part with its hash
runs/part-<id>.parquet         one row a run
<table>/part-<id>.parquet      one folder for each table of the study
```

Parts are Parquet with zstd; every table is all parts of its folder together. A cohort of runs is \
one part set: a part of every table under the same id, the first 16 hexadecimal digits of the \
SHA-256 of the sorted run ids, one a line. The part of `runs` is written last, so a set without it \
counts for nothing. Parts never change once they are written. Each keeps its own SHA-256, \
of the file with zeros in place of these digits, in its metadata (`ceteris.sha256`), so that it can \
be checked before the manifest lists it.

```python
pandas.read_parquet(\"results/runs\")
polars.read_parquet(\"results/runs/*.parquet\")
duckdb.sql(\"select * from 'results/runs/*.parquet'\")
```

`run_id` identifies a run and joins the tables. `arm`, `replicate` and the `factor_*` columns are \
labels from the study file at the time of writing. When a study file changes, runs that it still \
asks for keep their old labels, and the parts may then differ in their `factor_*` columns \
(`polars.read_parquet(..., missing_columns=\"insert\", extra_columns=\"ignore\")`, `union_by_name` in \
DuckDB). Null means that a value is not defined, NaN is never written in its place.

Files that are being written begin with a dot. `set-aside/` receives what is left of a part set of \
which a file was moved away, part sets whose runs others hold already, and checkpoints that no run \
can go on from.

`shards/i-of-n/` is the results directory of a shard (`ceteris run --shard i/n`); `ceteris merge` \
copies the runs of all of them into the tables. In a merged directory a part set has up to 1024 runs of \
one writer in the order of their ids, so that the same runs give the same files. `slurm/` has what \
`ceteris submit slurm` wrote.

## One writer

`.lock` is locked by the process that writes at the moment, and names it. Because not every file system \
passes locks on to other machines, `.lease` names it too, with a counter that it raises every ten \
seconds. On another machine a process waits until the counter has stood still for a minute by its own \
clock, and then replaces the lease; while the counter moves, it is told who writes. Before every \
commit a writer makes sure that the lease is still its own, so that one that was paused for longer \
writes nothing more.

## Checkpoints

`checkpoints/<run_id>.safetensors` is a run in mid-training, from which `ceteris run` goes on; it is \
removed once the run is recorded. `checkpoints/<run_id>-final.safetensors` is a trained run, kept with \
`ceteris run --keep-checkpoints`. Checkpoints are no results, and results are the same bits with \
and without them. A run goes on from a checkpoint only with the program, the processor features and \
the device that wrote it; otherwise it starts again.

```python
tensors = safetensors.numpy.load_file(\"results/checkpoints/….safetensors\")
tensors[\"policy.body.0.weight\"]     # [inputs, outputs]: x @ weight + bias
tensors[\"observation.mean\"]         # [num_envs, observation_dim]; inputs are (x - mean) / scale
```

The metadata entry `ceteris` is a JSON object with `iterations_done`, `iterations`, `identity`, \
`configuration` and `sha256`: the SHA-256 of the file with 64 zeros in the place of that number.

## Manifest

| field | meaning |
|---|---|
| `schema_version` | version of this layout |
| `ceteris_version` | version of ceteris that wrote last |
| `created`, `modified` | UTC, RFC 3339; the only wall-clock times besides the columns of tables that are marked as not reproducible |
| `study` | `kind`, `name`, `title`, `file` (name of the study file), its `sha256` and its `text`, verbatim, the study's `numerics_version`, and `presets`, by name the TOML of every field that a preset named in the file sets (left out where it names none; earlier manifests lack them) |
| `writers` | every combination of program and machine that opened the directory to write: `ceteris_version`, `commit` and `dirty` (whether the sources differed from it), `target`, `cargo_lock_sha256`, `dependencies` that touch numbers, `operating_system`, `cpu` with its `model` and those of its `features` by which kernels are chosen, `device` with `kind`, `name` and `driver` |
| `last_writer` | index of the one that opened it last |
| `tables` | by name: `key` (the columns that identify a row), `reproducible`, `rows`, `content_sha256` and `parts` with `file`, `rows`, `bytes`, `sha256` of the file and `writer` |

`content_sha256` covers every value bit for bit and depends neither on the order of the rows nor \
on parts or compression, so two directories hold the same results exactly when these hashes are \
equal. It is null while runs are being added.

`ceteris cite` names the content of all reproducible tables by one hash, the SHA-256 of one line \
`<table> <content_sha256>` for each of them that has rows:

```python
tables = json.load(open(\"results/manifest.json\"))[\"tables\"].items()
lines = [f\"{name} {table['content_sha256']}\\n\" for name, table in tables
         if table[\"reproducible\"] and table[\"content_sha256\"]]
hashlib.sha256(\"\".join(sorted(lines)).encode()).hexdigest()
```

`ceteris export` writes the directory as an RO-Crate, a folder or a zip file: the manifest and the \
parts that it lists, the study file as `study.toml`, `ro-crate-metadata.json` which describes them, \
and `SHA256SUMS`. Unpacked, it is a results directory again.
";

fn write_study(page: &mut String, study: &dyn Study) -> fmt::Result {
    write!(page, "\n## Study kind `{}`\n\n{}\n", study.kind(), one_line(study.about()))?;
    write!(page, "\n### `{RUNS}`\n\nOne row a run. Key: {}.\n\n", names(RUNS_KEY))?;
    write_head(page)?;
    for column in RUN_COLUMNS {
        write_column(page, column)?;
    }
    write_row(
        page,
        "factor_<name>",
        ColumnType::Text,
        "",
        "Level of the factor, one column for each factor of the study file; null for arms that \
         are named instead of being combined from levels.",
    )?;
    for field in study.fields() {
        let mut meaning = field.summary();
        if field.kind == flags::Kind::OptionalFloat {
            meaning += " Null when off.";
        }
        write_row(page, field.name, flag_type(field.kind), field.unit, &meaning)?;
    }
    for metric in study.metrics() {
        write_column(page, metric)?;
    }
    for table in study.tables() {
        write!(
            page,
            "\n### `{}`\n\nOne row is {}. Key: {}.{}\n\n",
            table.name,
            one_line(table.row).trim_end_matches('.'),
            names(table.key),
            if table.reproducible { "" } else { " Not part of the reproducibility contract." }
        )?;
        write_head(page)?;
        for column in table.columns {
            write_column(page, column)?;
        }
    }
    Ok(())
}

fn write_head(page: &mut String) -> fmt::Result {
    page.write_str("| column | type | unit | meaning |\n|---|---|---|---|\n")
}

fn write_column(page: &mut String, column: &Column) -> fmt::Result {
    write_row(page, column.name, column.kind, column.unit, column.meaning)
}

fn write_row(
    page: &mut String,
    name: &str,
    kind: ColumnType,
    unit: &str,
    meaning: &str,
) -> fmt::Result {
    let (unit, meaning) = (cell(unit), cell(meaning));
    writeln!(page, "| `{name}` | {} | {unit} | {meaning} |", type_name(kind))
}

/// The type in Parquet's words.
fn type_name(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Text => "string",
        ColumnType::Bool => "boolean",
        ColumnType::UInt32 => "uint32",
        ColumnType::UInt64 => "uint64",
        ColumnType::Int64 => "int64",
        ColumnType::Float64 => "double",
        ColumnType::Int64List => "list of int64",
    }
}

fn names(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Text that stays inside its cell.
fn cell(text: &str) -> String {
    one_line(text).replace('|', "\\|")
}

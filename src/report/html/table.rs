//! Tables on the page, and their downloads.

use maud::{Markup, html};
use polars::prelude::DataFrame;

use super::super::link::{csv, link, packed};
use super::super::table::{Cell, Table};
use super::figure::verdict;
use super::{Page, Part, breakable, command_line, prose};

/// Larger files are packed; the page's script unpacks them when they are asked for.
const MOST_BYTES: usize = 32_768;
/// Tables with more columns are set smaller in print.
const MOST_COLUMNS: usize = 12;

impl Page<'_> {
    pub(super) fn table(&self, number: usize, table: &Table<'_>) -> Part {
        let name = format!("Table {number}");
        let command = self.input.tables_command();
        let texts = [
            (format!("{}.md", table.id), "text/markdown", table.markdown(&command)),
            (format!("{}.tex", table.id), "text/x-tex", table.latex(&command)),
        ];
        let data: Vec<_> = table.data.iter().collect();
        let downloads = self.downloads(&data, &texts)?;
        Ok(html! {
            // Scrolls sideways where it is too wide, also by keyboard.
            div.scroll tabindex="0" role="region" aria-label=(name) id={ "table-" (table.id) } {
                table.sortable.wide[table.heads.len() > MOST_COLUMNS] {
                    caption {
                        b { (name) ". " } (prose(&table.caption)) " Made by "
                        (command_line(&command)) "."
                    }
                    thead {
                        tr {
                            @for head in &table.heads {
                                th.n[head.number] scope="col" { (breakable(&head.text)) }
                            }
                        }
                    }
                    tbody {
                        @for row in &table.rows {
                            tr {
                                @for (place, (cell, head)) in row.iter().zip(&table.heads).enumerate()
                                {
                                    @if place == 0 {
                                        th.n[head.number] scope="row" { (content(cell)) }
                                    } @else {
                                        td.n[head.number].long[cell.long] data-sort=[&cell.sort] {
                                            (content(cell))
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
            (downloads)
        })
    }

    /// Links to frames as CSV and to texts, each with its media type.
    pub(super) fn downloads(
        &self,
        frames: &[&(String, &DataFrame)],
        texts: &[(String, &str, String)],
    ) -> Part {
        let study = &self.input.plan.file.name;
        let mut links = Vec::new();
        for (name, frame) in frames {
            if frame.width() == 0 {
                continue;
            }
            let (file, bytes) = (format!("{study}-{name}.csv"), csv(frame)?);
            if bytes.len() > MOST_BYTES {
                links.push((format!("{file}.gz"), packed(&bytes)));
            } else {
                links.push((file, link("text/csv", &bytes)));
            }
        }
        for (name, media, text) in texts {
            links.push((format!("{study}-{name}"), link(media, text.as_bytes())));
        }
        Ok(html! {
            @if !links.is_empty() {
                p.downloads {
                    "Download: "
                    @for (place, (file, link)) in links.iter().enumerate() {
                        @if place > 0 { ", " }
                        a href=(link) download=(file) { (file) }
                    }
                }
            }
        })
    }
}

fn content(cell: &Cell) -> Markup {
    html! {
        @match cell.verdict {
            Some(of) => (verdict(of)),
            None if cell.code => code { (cell.text) },
            None => (breakable(&cell.text)),
        }
        @if !cell.interval.is_empty() { span.interval { (cell.interval) } }
        @for small in &cell.small { small { (prose(small)) } }
    }
}
